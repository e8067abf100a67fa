"""Many trials while everything that can die does: nothing is lost, doubled, orphaned or misjudged.

How many trials, and from which seed, can be said by environment variables: the short run is for
every day. `make bench-chaos` runs for longer and is severe: the API server goes away too, whatever
does is away for up to a minute and a half, and the operator acts under a Lease, so that each new
one has to wait until that of the dead one has run out.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scaletune.api.action import Decide
from scaletune.api.conditions import FINISHED, condition, is_true
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.recorded import ledger_lines
from scaletune.shells.replay import read_lines, replay
from scaletune_trainer import wire
from tests.cluster import chaos, mounts, studies
from tests.cluster.chaos import Chaos, Fault, Pods
from tests.cluster.cluster import Cluster
from tests.cluster.connection import Connection, Refused
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.prometheus import Prometheus
from tests.cluster.standing import Standing

TRIALS: Final = int(os.environ.get("SCALETUNE_CHAOS_TRIALS", "100"))
SEED: Final = int(os.environ.get("SCALETUNE_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
IS_SEVERE: Final = os.environ.get("SCALETUNE_CHAOS_SEVERE") == "1"
SECONDS_MAX: Final = 120 + (40 if IS_SEVERE else 20) * TRIALS
AWAY_SECONDS_MAX: Final = 90.0
PAUSE_SECONDS: Final = 12.0 if IS_SEVERE else 3.0
"""Often enough that most parts are hit many times, and seldom enough that the operator starts."""
NAME: Final = "chaos"


@pytest.fixture
def claims(two_nodes: Connection, crds: list[str], namespace: str, checkpoints: Mount) -> None:
    two_nodes.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    two_nodes.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")


@pytest.fixture
def operator(
    two_nodes: Connection, namespace: str, claims: None, prometheus: Prometheus, tmp_path: Path
) -> Iterator[Operator]:
    settings = {
        "SCALETUNE_PROMETHEUS_URL": prometheus.url,
        "SCALETUNE_PROMETHEUS_INTERVAL_SECONDS": "1",
        # Where faults follow each other closely, waiting for the Lease of a dead one would leave
        # chaos most of the time alone with itself.
        "SCALETUNE_ELECTION": "1" if IS_SEVERE else "0",
    }
    with Operator(two_nodes, namespace, tmp_path, **settings) as running:
        yield running


def _study(namespace: str) -> dict[str, Any]:
    made = studies.study(
        namespace,
        NAME,
        [*studies.QUADRATIC, "--sleep", "0.4"],
        parallelism=8,
        training={"unit": "Step", "max": 12},
        policy={"asha": {"eta": 4, "min": 3, "mode": "Promote"}},
        budget={"trials": TRIALS},
        checkpoints=studies.claim(),
    )
    # Whom chance hits again and again is not to be called a failure.
    made["spec"]["template"]["retries"] = 100
    return made


@pytest.mark.slow
@pytest.mark.timeout(SECONDS_MAX + 300)
def test_whatever_dies_nothing_is_lost_doubled_orphaned_or_misjudged(
    standing: Standing,
    two_nodes: Connection,
    namespace: str,
    checkpoints: Mount,
    operator: Operator,
    prometheus: Prometheus,
) -> None:
    sys.stderr.write(f"{TRIALS} trials, SCALETUNE_CHAOS_SEED={SEED}\n")
    faults = _faults(operator, prometheus)
    faults += chaos.of_the_pods(Pods(two_nodes, namespace, NAME, SEED))
    if not standing.is_given:  # somebody else's nodes are left alone
        faults += _faults_of_the_cluster(standing.own())
        if IS_SEVERE:  # an API server that comes back knows no rights for a moment
            standing.deprive(namespace)
    storm = Chaos(SEED, faults, PAUSE_SECONDS)

    with studies.watched(two_nodes, "jobs", namespace) as jobs:
        begin = time.monotonic()
        two_nodes.apply(_study(namespace))
        storm.run(lambda: _is_finished(two_nodes, namespace), SECONDS_MAX)
        study, trials = studies.wait_for_end(two_nodes, namespace, NAME, seconds_max=240)
        wait_until("nothing is left", lambda: not _left(two_nodes, namespace), 120)
    # Others use the nodes next, and the storm may have ended with one of them cut off.
    two_nodes.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=120s")
    _tell(time.monotonic() - begin, storm, trials)

    ended = condition(study.status.conditions, FINISHED)
    assert ended is not None
    assert ended.reason == "Completed"
    assert [trial.index for trial in trials] == list(range(TRIALS))
    assert {trial.status.state for trial in trials} <= {"Stopped", "Completed"}
    assert len({trial.metadata.uid for trial in trials}) == TRIALS
    _assert_nothing_is_lost_or_doubled(checkpoints, study, trials)
    _assert_decisions_are_replayed(study, trials)
    trained = {name: uids for name, uids in jobs.items() if not name.endswith("-cleanup")}
    doubled = {name: uids for name, uids in trained.items() if len(uids) > 1}
    assert doubled == {}
    assert {line["message"] for line in operator.lines() if line["level"] == "error"} == set()


def _faults(operator: Operator, prometheus: Prometheus) -> list[Fault]:
    if IS_SEVERE:
        return chaos.of_the_processes(operator, prometheus, 30.0, AWAY_SECONDS_MAX)
    return chaos.of_the_processes(operator, prometheus, 4.0, 15.0)


def _faults_of_the_cluster(own: Cluster) -> list[Fault]:
    node = own.nodes[1]
    if IS_SEVERE:
        server = chaos.of_the_api_server(own.control_plane, AWAY_SECONDS_MAX)
        return server + chaos.of_a_node(node, AWAY_SECONDS_MAX)
    return chaos.of_a_node(node, 20.0)


def _assert_nothing_is_lost_or_doubled(
    checkpoints: Mount, study: Study, trials: list[Trial]
) -> None:
    stored = {
        (trial.index, record.at): (record.step, record.value)
        for trial in trials
        for record in trial.status.milestones
    }
    assert len(stored) == sum(len(trial.status.milestones) for trial in trials)
    assert stored == _journalled(checkpoints.folder / study.metadata.uid, trials)
    numbers = Counter(record.number for trial in trials for record in trial.status.milestones)
    assert [number for number, times in numbers.items() if times > 1] == []


def _journalled(folder: Path, trials: list[Trial]) -> dict[tuple[int, int], tuple[int, float]]:
    """Step and value at each milestone that any life of a trial has reported."""
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for trial in trials:
        for journal in (folder / trial.metadata.name).glob("*/journal.jsonl"):
            for entry in wire.entries_of(journal.read_text()):
                if isinstance(entry, wire.ReportEntry) and "loss" in entry.values:
                    said = (entry.step, entry.values["loss"])
                    for level in entry.milestone:
                        # The script is a known function: each life reports the same.
                        assert found.setdefault((trial.index, level), said) == said
    return found


def _assert_decisions_are_replayed(study: Study, trials: list[Trial]) -> None:
    lines = read_lines("\n".join(map(json.dumps, ledger_lines(trials))))
    again = replay(study, lines)

    assert [_plain(each) for each in again if each.decision != "Promote"] == [
        (number, index, at, decision, evidence)
        for number, index, at, decision, evidence in studies.decisions(trials)
    ]
    assert sorted(_plain(each)[:3] for each in again if each.decision == "Promote") == [
        (number, index, at) for number, index, at, _ in studies.promotions(trials)
    ]


def _plain(made: Decide) -> tuple[Any, ...]:
    return made.number, made.trial, made.milestone, made.decision, made.evidence


def _is_finished(cluster: Connection, namespace: str) -> bool:
    try:
        study, _ = studies.stored(cluster, namespace, NAME)
    except Refused:  # the API server is away
        return False
    return is_true(study.status.conditions, FINISHED)


def _left(cluster: Connection, namespace: str) -> list[str]:
    """What belongs to no trial any more."""
    items = cluster.get("jobs,pods", "-n", namespace)["items"]
    return [item["metadata"]["name"] for item in items]


def _tell(seconds: float, storm: Chaos, trials: list[Trial]) -> None:
    attempts = sum(trial.status.attempts[-1].number for trial in trials)
    records = sum(len(trial.status.milestones) for trial in trials)
    done = ", ".join(f"{count} x {name}" for name, count in sorted(storm.done.items()))
    sys.stderr.write(
        f"{len(trials)} trials, {attempts} attempts, {records} records in {seconds:.0f} s;"
        f" seed {storm.seed}: {done}\n"
    )
