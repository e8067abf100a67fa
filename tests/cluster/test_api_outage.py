"""The API server goes away for minutes, forgets what has happened, and comes back: all goes on."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster import audit, mounts, studies
from tests.cluster.connection import Connection, Refused
from tests.cluster.mounts import Mount
from tests.cluster.operators import ACCOUNT, Operator, wait_until
from tests.cluster.standing import Standing

pytestmark = [pytest.mark.usefixtures("own_clusters", "crds"), pytest.mark.slow]

AWAY_SECONDS: Final = 62.0
LEADER: Final = "scaletune_operator_leader"
RESTARTS: Final = "scaletune_operator_watch_restarts_total"
FORGETFUL: Final = {"watch_cache": "false", "etcd_compaction_interval": "1s"}
"""It has nothing but what etcd holds, of which it lets go what is older than a second or two."""


@pytest.fixture
def operator(
    cluster: Connection, namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    """One under a Lease."""
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(cluster, namespace, tmp_path, SCALETUNE_ELECTION="1") as running:
        yield running


def _study(cluster: Connection, namespace: str, name: str, sleep: float, trials: int) -> None:
    cluster.apply(
        studies.study(
            namespace,
            name,
            [*studies.QUADRATIC, "--sleep", f"{sleep:g}"],
            parallelism=3,
            policy={"asha": {"eta": 3, "min": 3, "mode": "Stop"}},
            budget={"trials": trials},
            checkpoints={**studies.claim(), "keep": "All"},
        )
    )


def _running(cluster: Connection, namespace: str, name: str) -> set[str]:
    """The names of the trials that run."""
    trials = studies.stored(cluster, namespace, name)[1]
    return {trial.metadata.name for trial in trials if trial.status.state == "Running"}


def _wait_until_trained(cluster: Connection, namespace: str, name: str) -> None:
    wait_until(f"{name} trains", lambda: len(_running(cluster, namespace, name)) == 3, 120)


def test_the_api_server_may_be_away_for_more_than_a_minute_while_trials_run(
    cluster: Connection, standing: Standing, namespace: str, operator: Operator, checkpoints: Mount
) -> None:
    """Short ones end meanwhile, and long ones go on: none of them is started a second time."""
    server = standing.own().control_plane
    for name, sleep, trials in (("short", 1.0, 6), ("long", 9.0, 3)):
        _study(cluster, namespace, name, sleep, trials)
    for name in ("short", "long"):
        _wait_until_trained(cluster, namespace, name)
    standing.deprive(namespace)  # a server that comes back knows no rights for a moment

    server.end_api_server()
    try:
        wait_until("it may not act any more", lambda: operator.metric(LEADER) == 0, 60)
        assert "does not answer" in operator.page("readyz")[1]
        time.sleep(AWAY_SECONDS)
        assert operator.page("livez") == (200, "ok")
    finally:
        server.start_api_server()

    for name, trials in (("short", 6), ("long", 3)):
        study, ended = studies.wait_for_end(cluster, namespace, name, 240)
        assert [trial.index for trial in ended] == list(range(trials))
        assert {trial.status.state for trial in ended} <= {"Stopped", "Completed"}
        assert {trial.status.attempts[-1].number for trial in ended} == {1}
        assert studies.decisions(ended) == studies.replayed(study, ended)
        folder = checkpoints.folder / study.metadata.uid
        assert len(list(folder.glob("*/*/journal.jsonl"))) == trials
    assert operator.metric(LEADER) == 1
    made = Counter(
        each.name or each.resource
        for each in audit.requests(cluster, namespace, ACCOUNT)
        if each.is_write and (each.verb, each.resource) == ("create", "jobs")
    )
    assert made.total() == 9
    assert [line for line in operator.lines() if "traceback" in line] == []


def _has_forgotten(cluster: Connection, namespace: str, version: str) -> bool:
    """Whether the server can tell no more what has happened since a version."""
    kind = f"/apis/scaletune.dev/v1alpha1/namespaces/{namespace}/trials"
    query = f"watch=true&timeoutSeconds=1&resourceVersion={version}"
    try:
        said = cluster.kubectl("get", "--raw", f"{kind}?{query}")
    except Refused as refused:
        said = refused.words
    return "too old" in said or "Expired" in said


def test_what_is_deleted_before_etcd_forgets_it_is_gone_for_the_operator_too(
    cluster: Connection, standing: Standing, namespace: str, operator: Operator
) -> None:
    server = standing.own().control_plane
    standing.deprive(namespace)
    server.end_api_server()
    server.start_api_server(**FORGETFUL)
    try:
        for name in ("s1", "s2"):
            _study(cluster, namespace, name, 30.0, 4)
            _wait_until_trained(cluster, namespace, name)
        operator.send(signal.SIGSTOP)
        for kind, name in (("trial", "s1-0000"), ("study", "s2")):
            cluster.kubectl("delete", kind, name, "-n", namespace)
        version = cluster.get("trial", "s1-0001", "-n", namespace)["metadata"]["resourceVersion"]
        wait_until("etcd forgets", lambda: _has_forgotten(cluster, namespace, version), 60)
        # Nor is anything left on the way to the operator.
        server.end_api_server()
        server.start_api_server(**FORGETFUL)
        operator.send(signal.SIGCONT)

        def expired() -> float:
            return operator.metric(RESTARTS, cause="expired", resource="trials")

        wait_until("it lists again", lambda: expired() > 0, 120)
        others = {f"s1-{index:04d}" for index in (1, 2, 3)}
        wait_until(
            "the lost trial's place is taken",
            lambda: _running(cluster, namespace, "s1") == others,
            120,
        )
        gone = ("trials,jobs,pods", "-n", namespace, "-l", "scaletune.dev/study=s2")
        wait_until("s2 is gone", lambda: cluster.get(*gone)["items"] == [], 120)
        text = operator.page("metrics")[1]
        assert 'study="s1"' in text
        assert 'study="s2"' not in text
        assert [line for line in operator.lines() if "traceback" in line] == []
    finally:
        server.end_api_server()
        server.start_api_server()
