"""One Study with one-pod trials, from `kubectl apply` to its end, on real pods."""

import json
import random
import sys
import time
from typing import Any

import pytest

from scaletune.api.conditions import FINISHED, READY, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune_trainer import wire
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until

PROMOTE = {"asha": {"eta": 3, "min": 1, "mode": "Promote"}}
STOP = {"asha": {"eta": 3, "min": 1, "mode": "Stop"}}


def _true_value(trial: Trial, step: int) -> float:
    """What the torch-free script reports: a known function."""
    x = trial.spec.parameters[0].value
    assert isinstance(x, float)
    return (x - 0.3) ** 2 + 1 / step


def _journalled(checkpoints: Mount, study: Study, trial: Trial) -> dict[int, float]:
    """The first value at each milestone in all journals of a trial, in the order of attempts."""
    values: dict[int, float] = {}
    for attempt in trial.status.attempts:
        folder = checkpoints.folder / study.metadata.uid / trial.metadata.name / attempt.incarnation
        for entry in wire.entries_of(wire.journal_path(folder).read_text()):
            if isinstance(entry, wire.ReportEntry):
                for level in entry.milestone:
                    values.setdefault(level, entry.values["loss"])
    return values


def _best(trials: list[Trial]) -> tuple[int, int]:
    """Index and milestone of the best: the highest milestone first, then the value."""
    records = [
        (-record.at, record.value, trial.index)
        for trial in trials
        for record in trial.status.milestones
        if record.value is not None
    ]
    at, _, index = min(records)
    return index, -at


def _reason(study: Study, kind: str) -> tuple[str, str]:
    found = condition(study.status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def test_a_study_in_mode_promote_goes_from_apply_to_its_end(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    made = studies.study(
        namespace,
        "promote",
        parallelism=2,
        policy=PROMOTE,
        budget={"trials": 6},
        checkpoints={**studies.claim(), "keep": "All"},
    )
    cluster.apply(made)

    study, trials = studies.wait_for_end(cluster, namespace, "promote", seconds_max=120)

    assert _reason(study, FINISHED) == ("True", "Completed")
    assert len(trials) == 6
    assert {trial.status.state for trial in trials} <= {"Stopped", "Completed"}
    # Every report is true, stored once, and none that a journal holds is missing.
    for trial in trials:
        values = {record.at: record.value for record in trial.status.milestones}
        assert values == {at: pytest.approx(_true_value(trial, at)) for at in values}
        assert values == _journalled(checkpoints, study, trial)
    # Every decision follows from the records numbered up to its own.
    assert studies.decisions(trials) == studies.replayed(study, trials)
    # Each promotion was a new attempt, which went on from the checkpoint.
    promoted = studies.promotions(trials)
    assert promoted
    assert sum(len(trial.status.attempts) for trial in trials) == 6 + len(promoted)
    for trial in trials:
        _assert_it_trained_each_step_once(checkpoints, study, trial)
    best = study.status.best
    assert best is not None
    assert (best.index, best.milestone) == _best(trials)
    # What people see.
    columns = cluster.kubectl("get", "studies", "-n", namespace).splitlines()
    assert columns[0].split()[:5] == ["NAME", "POLICY", "STATE", "READY", "TRIALS"]
    assert " ".join(columns[1].split()).startswith("promote asha Promote eta 3 Completed True 6/6")
    listed = cluster.kubectl("get", "trials", "-n", namespace).splitlines()
    assert listed[0].split() == ["NAME", "STATE", "UNTIL", "RUNG", "VALUE", "ATTEMPT", "AGE"]
    story = cluster.kubectl("describe", "trial", "promote-0000", "-n", namespace)
    assert "ranked" in story
    # Nothing is left running, and the operator had nothing to complain about.
    wait_until("no Job is left", lambda: not cluster.get("jobs", "-n", namespace)["items"], 30)
    assert operator.complaints() == []


def _assert_it_trained_each_step_once(checkpoints: Mount, study: Study, trial: Trial) -> None:
    """The script counts its steps in what it checkpoints: a resumed trial went on counting."""
    kept = trial.status.checkpoint
    assert kept is not None
    folder = checkpoints.folder / study.metadata.uid / trial.metadata.name
    state = wire.checkpoints_folder(folder / kept.incarnation) / str(kept.step) / "state.json"
    assert f'"steps": {kept.step}' in json.dumps(json.loads(state.read_text()))
    # What was read before a newer one was stored has made room.
    for attempt in trial.status.attempts[:-2]:
        assert not list(wire.checkpoints_folder(folder / attempt.incarnation).iterdir())


def test_a_study_in_mode_stop_needs_no_claim_and_ends_the_weak_where_they_are(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    made = studies.study(
        namespace,
        "stop",
        [*studies.QUADRATIC, "--sleep", "0.2"],
        initial=[{"x": 0.3}, {"x": 0.9}, {"x": 1.0}],
        training={"unit": "Step", "max": 27},
        policy=STOP,
        budget={"trials": 3},
    )
    cluster.apply(made)

    study, trials = studies.wait_for_end(cluster, namespace, "stop", seconds_max=90)

    assert [trial.status.state for trial in trials] == ["Completed", "Stopped", "Stopped"]
    assert studies.decisions(trials) == studies.replayed(study, trials)
    for weak in trials[1:]:
        assert "stop-0000" in weak.status.reason  # against whom
        assert [attempt.cause for attempt in weak.status.attempts] == ["Stopped"]
        assert weak.status.last is not None
        assert weak.status.last.step < 27


def test_deleting_a_study_in_the_middle_removes_everything_without_the_operator(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    command = [*studies.QUADRATIC, "--sleep", "0.5"]
    made = studies.study(namespace, "gone", command, policy=STOP, budget={"trials": 4})
    cluster.apply({**made, "spec": {**made["spec"], "parallelism": 2}})
    wait_until(
        "a record is stored",
        lambda: studies.stored(cluster, namespace, "gone")[0].status.best,
        seconds_max=60,
    )
    operator.kill()

    cluster.kubectl("delete", "study", "gone", "-n", namespace, "--wait=false")

    kinds = "studies,trials,jobs,pods,services"
    wait_until(
        "everything is gone",
        lambda: not cluster.get(kinds, "-n", namespace)["items"],
        seconds_max=60,
    )


def test_an_operator_killed_at_any_time_ends_a_study_the_same_way(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    spec: dict[str, Any] = {
        "policy": PROMOTE,
        "budget": {"trials": 3},
        "checkpoints": studies.claim(),
    }
    cluster.apply(studies.study(namespace, "calm", **spec))
    calm = studies.wait_for_end(cluster, namespace, "calm", seconds_max=90)
    seed = random.SystemRandom().randrange(10**6)
    sys.stderr.write(f"the operator is killed at times drawn from the seed {seed}\n")
    moments = random.Random(seed)

    with studies.watched(cluster, "jobs", namespace) as jobs:
        cluster.apply(studies.study(namespace, "shaken", **spec))
        for _ in range(4):
            time.sleep(moments.uniform(0.5, 4.0))
            operator.kill()
            operator.start()
        shaken = studies.wait_for_end(cluster, namespace, "shaken", seconds_max=120)

    assert studies.decisions(shaken[1]) == studies.decisions(calm[1])
    assert studies.promotions(shaken[1]) == studies.promotions(calm[1])
    attempts = {
        f"{trial.metadata.name}-a{attempt.number}"
        for trial in shaken[1]
        for attempt in trial.status.attempts
    }
    assert len(attempts) == sum(len(trial.status.attempts) for trial in calm[1])
    begun = {name: len(uids) for name, uids in jobs.items() if name.startswith("shaken-0")}
    assert begun == dict.fromkeys(attempts, 1)


def test_real_torchrun_trains_in_restricted_pods_and_the_best_goes_on_from_its_checkpoint(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    made = studies.study(
        namespace,
        "digits",
        ["python3", f"{studies.EXAMPLES}/digits.py"],
        environment={"OMP_NUM_THREADS": "1"},
        parallelism=2,
        objectives=[{"metric": "accuracy", "goal": "Maximize"}],
        parameters=[{"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "Log"}}],
        initial=[{"learning_rate": 1e-2}, {"learning_rate": 1e-5}],
        training={"unit": "Step", "max": 120},
        policy={"asha": {"eta": 2, "min": 60, "mode": "Promote"}},
        budget={"trials": 2},
        checkpoints=studies.claim(),
    )
    cluster.apply(made)

    study, trials = studies.wait_for_end(cluster, namespace, "digits", seconds_max=240)

    assert _reason(study, FINISHED) == ("True", "Completed")
    assert [trial.status.state for trial in trials] == ["Completed", "Stopped"]
    assert studies.decisions(trials) == studies.replayed(study, trials)
    assert [(index, at) for _, index, at, _ in studies.promotions(trials)] == [(0, 60)]
    first, second = trials[0].status.milestones
    assert first.value is not None
    assert second.value is not None
    assert 0.1 < first.value <= 1
    assert 0.1 < second.value <= 1
    assert study.status.best is not None
    assert (study.status.best.index, study.status.best.milestone) == (0, 120)
    assert all(trial.status.device_seconds > 0 for trial in trials)
    # The second life of the best trial trained the second half alone.
    resumed = trials[0].status.attempts[1].incarnation
    folder = checkpoints.folder / study.metadata.uid / trials[0].metadata.name / resumed
    entries = wire.entries_of(wire.journal_path(folder).read_text())
    steps = [entry.step for entry in entries if isinstance(entry, wire.ReportEntry)]
    assert (min(steps), max(steps)) == (61, 120)


def test_a_script_with_an_error_ends_the_study_early_and_says_so(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    command = [*studies.QUADRATIC, "--fail", "1"]
    cluster.apply(studies.study(namespace, "wrong", command, parallelism=2, budget={"trials": 50}))

    study, trials = studies.wait_for_end(cluster, namespace, "wrong", seconds_max=90)

    assert _reason(study, FINISHED) == ("True", "EndedEarly")
    found = condition(study.status.conditions, FINISHED)
    assert found is not None
    assert "asked to fail at step 1" in found.message
    assert len(trials) < 8
    # The pods of failed trials stay, for their logs.
    failed = next(trial for trial in trials if trial.status.state == "Failed")
    logs = cluster.kubectl("logs", "-n", namespace, f"job/{failed.metadata.name}-a1")
    assert "asked to fail at step 1" in logs


def test_a_study_that_cannot_start_says_what_to_do_and_starts_nothing(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    made = studies.study(namespace, "odd", budget={"trials": 2})
    made["spec"]["template"]["pod"]["spec"]["containers"][0]["imagePullPolicy"] = "Sometimes"
    cluster.apply(made)

    def is_refused() -> bool:
        status = studies.stored(cluster, namespace, "odd")[0].status
        ready = condition(status.conditions, READY)
        return ready is not None and ready.status == "False"

    wait_until("the condition Ready is False", is_refused, seconds_max=30)
    study, trials = studies.stored(cluster, namespace, "odd")
    ready = condition(study.status.conditions, READY)
    assert ready is not None
    assert 'Unsupported value: "Sometimes"' in ready.message
    assert cluster.get("jobs", "-n", namespace)["items"] == []
    assert all(trial.status.crashes == 0 for trial in trials)

    # Mending the template is enough.
    made["spec"]["template"]["pod"]["spec"]["containers"][0]["imagePullPolicy"] = mounts.PULL_POLICY
    cluster.apply(made)
    study, _ = studies.wait_for_end(cluster, namespace, "odd", seconds_max=90)
    assert _reason(study, FINISHED) == ("True", "Completed")


def test_a_study_paused_while_its_pods_wait_for_a_node_takes_them_back(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    made = studies.study(namespace, "waiting", budget={"trials": 2}, parallelism=2)
    made["spec"]["template"]["pod"]["spec"]["nodeSelector"] = {"scaletune.dev/there-is": "none"}
    cluster.apply(made)
    wait_until("two pods wait", lambda: len(cluster.get("pods", "-n", namespace)["items"]) == 2, 30)

    def states() -> list[str | None]:
        return [each.status.state for each in studies.stored(cluster, namespace, "waiting")[1]]

    _wish(cluster, namespace, "waiting", "Paused")
    wait_until("both are paused", lambda: states() == ["Paused", "Paused"], 30)
    assert cluster.get("jobs,pods", "-n", namespace)["items"] == []

    del made["spec"]["template"]["pod"]["spec"]["nodeSelector"]
    cluster.apply(made)
    _wish(cluster, namespace, "waiting", "Running")
    _, trials = studies.wait_for_end(cluster, namespace, "waiting", seconds_max=60)

    assert [trial.status.state for trial in trials] == ["Completed", "Completed"]
    for trial in trials:
        causes = [attempt.cause for attempt in trial.status.attempts]
        assert (causes, trial.status.crashes) == (["Withdrawn", "Done"], 0)


def _wish(cluster: Connection, namespace: str, name: str, state: str) -> None:
    patch = json.dumps({"spec": {"state": state}})
    cluster.kubectl("patch", "study", name, "-n", namespace, "--type=merge", "-p", patch)
