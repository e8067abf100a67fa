"""What stands in the way of an attempt: a reason, the cluster's own words, and a remedy."""

from typing import Any

import pytest

from scaletune.api.conditions import STARTED, Condition, condition
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.hindrances import starting
from scaletune.shells.kubernetes.hindrances.starting import Heard, Obstacle
from scaletune.shells.kubernetes.seen.views import read_job, read_pod
from scaletune.shells.kubernetes.turn.books import entered
from scaletune_trainer.wire import Reason, TerminationMessage
from tests.shells.kubernetes import given
from tests.shells.kubernetes.given import attempt, ended, raw_job, raw_pod, raw_trial

Json = dict[str, Any]

LATER = given.NOW + 60


def _waiting(reason: str, message: str = "") -> Json:
    return raw_pod(state={"waiting": {"reason": reason, "message": message}}, phase="Pending")


def _unscheduled(message: str, reason: str = "Unschedulable", rank: int = 0) -> Json:
    told = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return raw_pod(phase="Pending", containerStatuses=[], conditions=[told], rank=rank)


def _obstacle(
    *pods: Json, heard: dict[str, Heard | None] | None = None, job: Json | None = None
) -> Obstacle | None:
    views = [read_pod(pod) for pod in pods]
    return starting.obstacle(read_job(job or raw_job()), views, heard or {}, LATER)


INIT = raw_pod(
    phase="Pending",
    containerStatuses=[{"name": "trainer", "state": {"waiting": {"reason": "PodInitializing"}}}],
    initContainerStatuses=[{"name": "data", "state": {"waiting": {"reason": "ErrImagePull"}}}],
)
PODS: dict[str, tuple[Json, str, str]] = {
    "image": (_waiting("ErrImagePull", "no such host"), "ImageNotPulled", "no such host"),
    "absent image": (_waiting("ErrImageNeverPull"), "ImageNotPulled", "ErrImageNeverPull"),
    "image name": (_waiting("InvalidImageName"), "ImageNotPulled", "InvalidImageName"),
    "image of an init container": (INIT, "ImageNotPulled", "container data"),
    "configuration": (
        _waiting("CreateContainerConfigError", 'secret "s" not found'),
        "ContainerNotConfigured",
        'secret "s" not found',
    ),
    "container": (_waiting("CreateContainerError", "mkdir"), "ContainerNotCreated", "mkdir"),
    "command": (_waiting("RunContainerError", "exec"), "CannotRun", "exec"),
    "something new": (_waiting("NodeOnFire", "hot"), "NodeOnFire", "hot"),
    "node": (
        _unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
        "Unschedulable",
        "Insufficient nvidia.com/gpu. It starts by itself",
    ),
    "claim": (
        _unscheduled('persistentvolumeclaim "c" not found'),
        "ClaimNotBound",
        "Create the claim",
    ),
    "gate": (_unscheduled("gated", "SchedulingGated"), "SchedulingGated", "has to remove it"),
}


@pytest.mark.parametrize("case", PODS)
def test_what_a_pod_waits_for_is_told_with_its_remedy(case: str) -> None:
    pod, reason, words = PODS[case]

    found = _obstacle(pod)

    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_a_pull_that_fails_reads_the_same_in_the_pause_after_it() -> None:
    error = 'failed to resolve "registry.invalid/a:1": no such host'
    pause = f'Back-off pulling image "registry.invalid/a:1": ErrImagePull: {error}'

    assert _obstacle(_waiting("ErrImagePull", error)) == _obstacle(
        _waiting("ImagePullBackOff", pause)
    )


def test_a_pod_on_its_way_meets_no_obstacle() -> None:
    assert _obstacle(raw_pod()) is None
    assert _obstacle(_waiting("ContainerCreating")) is None
    assert _obstacle(_waiting("PodInitializing")) is None


def _on_a_node(**status: Any) -> Json:
    pod = raw_pod(phase="Pending", **status)
    pod["spec"]["nodeName"] = "n2"
    return pod


def test_a_pod_that_its_node_neither_starts_nor_lets_go_is_told_with_its_remedy() -> None:
    ignored = _on_a_node(containerStatuses=[])
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    kept = _on_a_node(
        conditions=[*raw_pod()["status"]["conditions"], target],
        containerStatuses=_waiting("ContainerCreating")["status"]["containerStatuses"],
    )
    kept["metadata"] |= {"deletionTimestamp": given.SCHEDULED, "deletionGracePeriodSeconds": 120}

    for pod in (ignored, kept):
        found = _obstacle(pod)
        assert found is not None
        assert found.reason == "NodeSilent"
        for words in ("node n2", f"kubectl delete pod -n ml {pod['metadata']['name']} --force"):
            assert words in found.message


def test_a_node_has_half_a_minute_to_say_something_of_a_pod() -> None:
    early = read_pod(_on_a_node(containerStatuses=[]))
    assert early.scheduled is not None

    assert starting.obstacle(read_job(raw_job()), [early], {}, early.scheduled + 29) is None


def test_a_pod_without_containers_is_explained_by_its_events() -> None:
    pod = _waiting("ContainerCreating")
    heard = Heard("FailedMount", 'configmap "c" not found')

    found = _obstacle(pod, heard={"pod-uid": heard})

    assert starting.is_stuck(read_pod(pod), LATER)
    assert found is not None
    assert (found.reason, 'configmap "c" not found' in found.message) == ("VolumesNotMounted", True)


REFUSALS = {
    "QuotaExceeded": 'pods "s-0000-a1-0-x7k2p" is forbidden: exceeded quota: few, requested:',
    "PodSecurityViolated": 'pods "s-0000" is forbidden: violates PodSecurity "restricted:latest"',
    "WebhookRefused": 'admission webhook "gpu.example.com" denied the request: no team label',
    "OperatorForbidden": 'pods is forbidden: User "x" cannot create resource "pods"',
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_job_without_pods_is_explained_by_its_events(reason: str) -> None:
    told = f"Error creating: {REFUSALS[reason]}"

    found = _obstacle(heard={"uid-s-0000-a1": Heard("FailedCreate", told)})

    assert found is not None
    assert found.reason == reason
    assert "Error creating" not in found.message
    assert "x7k2p" not in found.message  # of every try another one


def test_a_job_without_pods_and_without_events_is_told_as_well() -> None:
    found = _obstacle()

    assert found is not None
    assert found.reason == "PodsNotCreated"
    young = read_job(raw_job())
    assert starting.obstacle(young, [], {}, young.released + 5) is None


def test_a_suspended_job_waits_for_its_queue_or_for_people() -> None:
    job = raw_job()
    job["spec"]["suspend"] = True
    by_hand = _obstacle(job=job)
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "team"
    queued = _obstacle(job=job)

    assert by_hand is not None
    assert "kubectl patch job s-0000-a1" in by_hand.message
    assert queued is not None
    assert "by the queue team" in queued.message
    assert by_hand.reason == queued.reason == "Suspended"


def test_of_a_gangs_obstacles_the_one_is_told_that_waiting_does_not_remove() -> None:
    job = raw_job(nodes=2)
    image = _waiting("ErrImagePull", "no such host")

    found = _obstacle(_unscheduled("Insufficient cpu", rank=1), image, job=job)

    assert found is not None
    assert found.reason == "ImageNotPulled"
    assert found.message.startswith("1 of 2 pods have a node; ")


def test_a_gang_is_half_placed_when_some_of_its_pods_wait_for_nodes_for_a_while() -> None:
    pods = [read_pod(raw_pod()), read_pod(_unscheduled("Insufficient cpu", rank=1))]
    job = raw_job(nodes=2)

    assert starting.is_half_placed(read_job(job), pods, LATER)
    assert not starting.is_half_placed(read_job(job), pods, given.NOW - 55)
    assert not starting.is_half_placed(read_job(job), pods[:1], LATER)
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "team"
    assert not starting.is_half_placed(read_job(job), pods, LATER)


def _entered(*pods: Json, job: Json | None = None, **status: Any) -> Trial:
    trials = [raw_trial(**{"attempts": [attempt(incarnation="pod-uid")], **status})]
    snapshot = given.snapshot(trials=trials, jobs=(job or raw_job(),), pods=pods)
    [trial] = entered(snapshot, {}, given.NOW)
    return trial


def _started(trial: Trial) -> Condition:
    found = condition(trial.status.conditions, STARTED)
    assert found is not None
    return found


NEVER_RAN: dict[str, tuple[Json, str, str]] = {
    "command": (
        raw_pod(state=ended('exec: "python3": not found', 128, "StartError"), phase="Failed"),
        "CannotRun",
        "The image must have what the command names",
    ),
    "trainer package": (
        raw_pod(state=ended("No module named scaletune_trainer", 1, "Error"), phase="Failed"),
        "TrainerMissing",
        "Install scaletune[trainer]",
    ),
    "a device that the kubelet has not": (
        raw_pod(
            phase="Failed",
            reason="UnexpectedAdmissionError",
            message="no GPU",
            containerStatuses=[],
        ),
        "PodFailed",
        "UnexpectedAdmissionError: no GPU",
    ),
    "an init container": (
        raw_pod(
            phase="Failed",
            containerStatuses=[{"name": "trainer", "state": {"waiting": {}}}],
            initContainerStatuses=[{"name": "data", "state": {"terminated": {"exitCode": 3}}}],
        ),
        "PodFailed",
        "container data ended with exit code 3",
    ),
}


@pytest.mark.parametrize("case", NEVER_RAN)
def test_what_never_ran_is_tried_again_later_and_counts_for_nothing(case: str) -> None:
    pod, reason, words = NEVER_RAN[case]

    trial = _entered(pod, crashes=1)

    told = _started(trial)
    assert (told.status, told.reason) == ("False", reason)
    assert words in told.message
    assert (trial.status.attempts[-1].cause, trial.status.state) == ("CannotStart", "Pending")
    assert (trial.status.crashes, trial.status.failure) == (1, None)
    assert trial.status.start_after is not None


def test_an_image_without_the_trainer_counts_for_nothing_on_a_machine_so_slow_that_it_shows() -> (
    None
):
    pod, reason, _ = NEVER_RAN["trainer package"]

    trial = _entered(pod, state="Running")

    assert (trial.status.attempts[-1].cause, trial.status.state) == ("CannotStart", "Pending")
    assert (trial.status.crashes, _started(trial).reason) == (0, reason)


def test_what_a_script_misses_is_not_taken_for_a_missing_trainer() -> None:
    error = "No module named 'scaletune_trainer.elsewhere'"
    message = TerminationMessage(Reason.USER_ERROR, step=0, error=error)

    trial = _entered(raw_pod(state=ended(message, 43, "Error"), phase="Failed"))

    assert trial.status.state == "Failed"


def test_a_pod_that_fails_while_its_trial_runs_has_crashed() -> None:
    pod = raw_pod(phase="Failed", containerStatuses=[])

    assert _entered(pod, state="Running").status.attempts[-1].cause == "Lost"


def test_a_gang_that_never_was_whole_has_waited_in_vain() -> None:
    message = TerminationMessage(Reason.CRASHED, step=0, error="rendezvous timed out")
    first = raw_pod(state=ended(message, 1, "Error"), phase="Failed")

    trial = _entered(first, job=raw_job(nodes=2, Failed="True"))

    assert (trial.status.attempts[-1].cause, trial.status.crashes) == ("CannotStart", 0)
    assert "1 of 2 pods came to run" in _started(trial).message
    # Run as a whole, it would have crashed.
    again = _entered(first, job=raw_job(nodes=2, Failed="True"), state="Running")
    assert (again.status.attempts[-1].cause, again.status.crashes) == ("Crashed", 1)


def test_a_trial_that_has_started_says_so_in_the_same_write() -> None:
    trial = _entered(raw_pod())

    assert (trial.status.state, _started(trial).status) == ("Running", "True")
