"""Pods that train one trial together: one attempt, one cost, and the cause of the one that failed.

The others fail for want of it, or are told to leave; none of them may be blamed.
"""

from typing import Any

from scaletune.api.trial import Trial
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.turn.books import entered
from scaletune_trainer import wire
from scaletune_trainer.wire import Reason, TerminationMessage
from tests.shells.kubernetes import given
from tests.shells.kubernetes.given import attempt, ended, raw_job, raw_pod, raw_trial

Json = dict[str, Any]
SOON = given.NOW - 55.0  # five seconds after the pods were scheduled
START_MS = int((given.NOW - 60) * 1000)


def _entered(*pods: Json, nodes: int = 2, **status: Any) -> list[Trial]:
    trials = [raw_trial(attempts=[attempt(incarnation="first")], **status)]
    jobs = (raw_job(nodes=nodes),)
    return entered(given.snapshot(trials=trials, jobs=jobs, pods=pods), {}, SOON)


def _rank(rank: int, state: Json | None = None, **status: Any) -> Json:
    return raw_pod(uid="first" if rank == 0 else f"pod-{rank}", state=state, rank=rank, **status)


def _end(reason: Reason, after: int, exit_code: int, error: str = "", sequence: int = 0) -> Json:
    """A trainer's end, so many milliseconds after its start."""
    times = {"endMs": START_MS + after}
    message = TerminationMessage(reason, step=0, sequence=sequence, times=times, error=error)
    return ended(message, exit_code, "Error")


def _cause(*pods: Json, **status: Any) -> tuple[str, str]:
    [trial] = _entered(*pods, **status)
    return trial.status.attempts[-1].cause, trial.status.reason


def _is_open(*pods: Json) -> bool:
    return all(not trial.status.attempts[-1].cause for trial in _entered(*pods))


def test_a_gang_runs_when_all_its_pods_do() -> None:
    waiting = _rank(1, state={"waiting": {}}, phase="Pending")

    assert all(trial.status.state != "Running" for trial in _entered(_rank(0), waiting))
    assert [trial.status.state for trial in _entered(_rank(0), _rank(1))] == ["Running"]


def test_every_pod_costs() -> None:
    [trial] = _entered(_rank(0), _rank(1))

    assert trial.status.device_seconds == 10.0


def test_an_end_that_was_agreed_on_waits_for_no_other_pod() -> None:
    assert _cause(_rank(0, _end(Reason.DONE, 9, 0)), _rank(1))[0] == "Done"
    # Whatever became of the others after it.
    killed = _rank(1, ended("", 137, "OOMKilled"))
    assert _cause(_rank(0, _end(Reason.PAUSED, 9, 0)), killed)[0] == "Paused"


def test_a_gang_that_left_together_on_a_signal_was_no_crash() -> None:
    times = {"agreedMs": START_MS + 8, "endMs": START_MS + 9}
    message = TerminationMessage(Reason.TERMINATED, step=3, checkpoint=3, times=times)
    left = ended(message, 143, "Error")

    assert _cause(_rank(0, left), _rank(1))[0] == "Terminated"
    evicted: Json = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert _cause(_rank(0, left), _rank(1, **evicted))[0] == "Disrupted"
    # One that was told to leave because another had failed says nothing of the cause.
    assert _is_open(_rank(0, _end(Reason.TERMINATED, 9, 143)), _rank(1))


def test_a_failure_is_judged_when_all_pods_are_over() -> None:
    assert _is_open(_rank(0, _end(Reason.USER_ERROR, 9, 43, "peer is gone")), _rank(1))
    assert _is_open(_rank(0), _rank(1, _end(Reason.USER_ERROR, 9, 43, "wrong")))


def test_the_pod_that_ended_first_is_to_blame() -> None:
    first = _rank(1, _end(Reason.USER_ERROR, 100, 43, "KeyError: 'x'"))
    victim = _rank(0, _end(Reason.CRASHED, 900, 1, "connection closed by peer"))
    told_to_leave = _rank(0, _end(Reason.TERMINATED, 900, 143))

    assert _cause(victim, first) == ("UserError", "node 1: KeyError: 'x'")
    assert _cause(told_to_leave, first) == ("UserError", "node 1: KeyError: 'x'")


def test_a_pod_that_was_killed_ended_before_those_that_miss_it() -> None:
    victim = _rank(0, _end(Reason.CRASHED, 30_400, 1, "connection closed by peer", sequence=3))
    killed = _rank(1, ended("", 137, "Error"))

    assert _cause(victim, killed) == ("Crashed", "Crashed with exit code 137")


def test_a_lack_of_memory_on_any_node_is_the_cause_of_all() -> None:
    victim = _rank(0, _end(Reason.CRASHED, 100, 1, "connection closed by peer"))

    assert _cause(victim, _rank(1, _end(Reason.OUT_OF_MEMORY, 900, 44)))[0] == "OutOfMemory"
    assert _cause(victim, _rank(1, ended("", 137, "OOMKilled")))[0] == "OutOfMemory"


def test_a_disruption_of_any_pod_counts_before_everything_else() -> None:
    disrupted = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    evicted = _rank(1, _end(Reason.OUT_OF_MEMORY, 900, 44), phase="Failed", **disrupted)
    victim = _rank(0, _end(Reason.CRASHED, 100, 1, "connection closed by peer"))

    [trial] = _entered(victim, evicted, crashes=1)

    assert (trial.status.attempts[-1].cause, trial.status.crashes) == ("Disrupted", 1)


def test_a_script_is_not_blamed_for_missing_a_pod_that_has_gone() -> None:
    first = _rank(0, _end(Reason.USER_ERROR, 100, 43, "connection closed by peer"))

    assert _cause(first)[0] == "Crashed"
    traceless = _rank(1, phase="Failed", containerStatuses=[])
    assert _cause(first, traceless, state="Running")[0] == "Crashed"


def test_a_script_that_fails_after_progress_is_tried_again_whichever_rank_it_was() -> None:
    first = _rank(0, _end(Reason.CRASHED, 900, 1, "connection closed by peer", sequence=3))
    failed = _rank(1, _end(Reason.USER_ERROR, 100, 43, "RuntimeError: link down"))

    assert _cause(first, failed) == ("Crashed", "node 1: RuntimeError: link down")


def test_the_pods_of_a_job_that_is_gone_are_known_by_those_that_are_left() -> None:
    trials = [raw_trial(attempts=[attempt(incarnation="first")])]
    pods = (_rank(0, _end(Reason.TERMINATED, 100, 143)), _rank(1))

    snapshot = given.snapshot(trials=trials, pods=pods)
    gang = snapshot.gang(snapshot.trials[0])

    assert gang is not None
    assert [pod.rank for pod in gang.pods] == [0, 1]
    assert snapshot.has_live_pods(snapshot.trials[0])


def test_the_job_of_a_gang_has_a_pod_for_each_node_which_meet_at_the_first() -> None:
    container = {"name": "trainer", "image": "example", "command": ["python", "train.py"]}
    pod = {"spec": {"containers": [container]}}
    study = given.study(template={"nodes": 3, "processesPerNode": 4, "pod": pod})

    job = workload.job(study, given.trial(attempts=[attempt(2)]))

    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    [trainer] = job["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in trainer["env"]}
    told = {name: variables[f"PET_{name}"].get("value") for name in ("NNODES", "NPROC_PER_NODE")}
    assert told == {"NNODES": "3", "NPROC_PER_NODE": "4"}
    assert variables["PET_MASTER_ADDR"]["value"] == "s-0000-a2-0.scaletune-s"
    rank = variables["PET_NODE_RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert rank == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    spec = wire.TrialSpec.from_json(variables["SCALETUNE_TRIAL"]["value"])
    assert spec.processes == 12
