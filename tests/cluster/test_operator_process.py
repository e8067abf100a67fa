"""The operator as a process: two of them, frozen ones, and one without its rights."""

import json
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster import audit, studies
from tests.cluster.connection import Connection
from tests.cluster.operators import ACCOUNT, Operator, wait_until
from tests.cluster.standing import Standing

pytestmark = [pytest.mark.usefixtures("own_clusters", "crds"), pytest.mark.slow]

LEADER = "scaletune_operator_leader"


def _operator(cluster: Connection, namespace: str, folder: Path) -> Operator:
    return Operator(cluster, namespace, folder, SCALETUNE_ELECTION="1")


def _study(cluster: Connection, namespace: str, name: str) -> None:
    cluster.apply(studies.study(namespace, name, parallelism=2, budget={"trials": 4}))


def _jobs(cluster: Connection, namespace: str, study: str) -> list[str]:
    label = f"scaletune.dev/study={study}"
    items = cluster.get("jobs", "-n", namespace, "-l", label)["items"]
    return sorted(each["metadata"]["name"] for each in items)


def _wait_for_jobs(cluster: Connection, namespace: str, study: str) -> None:
    wanted = [f"{study}-0000-a1", f"{study}-0001-a1"]
    wait_until(
        f"{study} is served", lambda: _jobs(cluster, namespace, study) == wanted, seconds_max=90
    )


def _writes_since(cluster: Connection, namespace: str, operator: Operator, since: str) -> list[str]:
    return [
        f"{each.verb} {each.resource} {each.name}"
        for each in audit.requests(cluster, namespace, ACCOUNT)
        if each.credential == operator.credential and each.at > since and each.is_write
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_of_two_operators_one_acts_and_the_other_goes_on_when_it_ends_is_killed_or_freezes(
    control_plane: Connection, namespace: str, tmp_path: Path
) -> None:
    cluster = control_plane
    with ExitStack() as stack:
        one = stack.enter_context(_operator(cluster, namespace, tmp_path / "one"))
        wait_until("one leads", lambda: one.metric(LEADER) == 1, 90)
        other = stack.enter_context(_operator(cluster, namespace, tmp_path / "other"))
        wait_until("the other stands by", lambda: other.page("readyz") == (200, "ok"), 90)
        _study(cluster, namespace, "s1")
        _wait_for_jobs(cluster, namespace, "s1")
        assert (one.page("livez")[0], other.page("livez")[0]) == (200, 200)
        assert other.metric(LEADER) == 0
        assert _writes_since(cluster, namespace, other, "") == []

        # Told to end: the other need not wait until the Lease runs out.
        assert one.end() == 0
        wait_until("the other leads", lambda: other.metric(LEADER) == 1, 60)
        _study(cluster, namespace, "s2")
        _wait_for_jobs(cluster, namespace, "s2")

        # Killed: it has to.
        one.start()
        wait_until("one stands by", lambda: one.page("readyz") == (200, "ok"), 90)
        other.kill()
        _study(cluster, namespace, "s3")
        _wait_for_jobs(cluster, namespace, "s3")
        assert one.metric(LEADER) == 1

        # Frozen for longer than the Lease lasts: when it wakes up, it must not write anything.
        other.start()
        wait_until("the other stands by", lambda: other.page("readyz") == (200, "ok"), 90)
        one.send(signal.SIGSTOP)
        _study(cluster, namespace, "s4")
        _wait_for_jobs(cluster, namespace, "s4")
        cluster.kubectl("delete", "study", "s1", "-n", namespace)
        woken = _now()
        one.send(signal.SIGCONT)
        assert one.wait(60) == 1
        assert _writes_since(cluster, namespace, one, woken) == []
        assert "is held by" in one.complaints()[-1]
        assert other.page("readyz") == (200, "ok")
        for study in ("s2", "s3", "s4"):
            assert len(_jobs(cluster, namespace, study)) == 2
        assert [line for line in one.lines() + other.lines() if "traceback" in line] == []


def test_missing_rights_are_told_and_are_no_reason_to_crash(
    control_plane: Connection, standing: Standing, namespace: str, tmp_path: Path
) -> None:
    cluster = control_plane
    role = ("role", ACCOUNT, "-n", namespace)
    with _operator(cluster, namespace, tmp_path) as operator:
        wait_until("it is ready", lambda: operator.page("readyz") == (200, "ok"), 90)
        operator.end()
        standing.deprive(namespace)
        rules = cluster.get(*role)["rules"]
        fewer = [each for each in rules if "trials" not in each["resources"]]
        cluster.kubectl("patch", *role, "--type=merge", "-p", json.dumps({"rules": fewer}))

        operator.start()
        wait_until("it says so", lambda: "cannot list" in operator.page("readyz")[1], 90)
        assert operator.page("livez") == (200, "ok")
        assert any("trials" in words and "grant it" in words for words in operator.complaints())

        cluster.kubectl("patch", *role, "--type=merge", "-p", json.dumps({"rules": rules}))
        wait_until("it is ready", lambda: operator.page("readyz") == (200, "ok"), 90)
        assert [line for line in operator.lines() if "traceback" in line] == []
