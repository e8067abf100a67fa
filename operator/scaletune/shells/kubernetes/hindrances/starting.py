"""Starting: what stands in the way of an attempt that has not started, and what to do. Pure.

Every obstacle has a reason, the same word for all that is mended alike, and a message: the
cluster's own words first, which people search for, then the remedy. None of them is the trial's
fault, so none is counted as a failure or as a retry.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scaletune.core.failures import End
from scaletune.shells.kubernetes.seen.gang import Gang
from scaletune.shells.kubernetes.seen.reports import message_of
from scaletune.shells.kubernetes.seen.views import Job, Pod
from scaletune.shells.kubernetes.seen.waiting import CREATING, UNHEARD, Waiting
from scaletune_trainer.wire import Reason

PATIENCE_SECONDS: Final = 30.0
"""How long a Job may be without pods, and a pod without containers, before Events are asked."""
CANNOT_RUN: Final = frozenset({"StartError", "ContainerCannotRun"})

SUSPENDED: Final = "Suspended"
NODE_SILENT: Final = "NodeSilent"
INCOMPLETE: Final = "GangIncomplete"
TRAINER_MISSING: Final = "TrainerMissing"
_REASONS: Final = {
    **dict.fromkeys(
        (
            "ErrImagePull",
            "ImagePullBackOff",
            "ErrImageNeverPull",
            "InvalidImageName",
            "ImageInspectError",
            "RegistryUnavailable",
            "SignatureValidationFailed",
        ),
        "ImageNotPulled",
    ),
    "CreateContainerConfigError": "ContainerNotConfigured",
    "CreateContainerError": "ContainerNotCreated",
    "RunContainerError": "CannotRun",
    "FailedMount": "VolumesNotMounted",
    "FailedAttachVolume": "VolumesNotMounted",
    "FailedMapVolume": "VolumesNotMounted",
    "FailedCreatePodSandBox": "PodNetworkFailed",
}
# Reasons of Events that say why a Job has no pods, or a pod no containers.
TELLING: Final = frozenset(
    {
        "FailedCreate",
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
    }
)
# What the API server's refusal of a pod is about, by a text that its words have.
_REFUSALS: Final = (
    ("cannot create resource", "OperatorForbidden"),
    ("webhook", "WebhookRefused"),
    ("ValidatingAdmissionPolicy", "PolicyRefused"),
    ("violates PodSecurity", "PodSecurityViolated"),
    ("quota", "QuotaExceeded"),
)
_TEMPLATE: Final = "Correct template.pod; it may be changed at any time"
REMEDIES: Final = {
    "ImageNotPulled": "Check the image's name and imagePullPolicy, that the nodes reach its"
    " registry, and imagePullSecrets",
    "ContainerNotConfigured": "Create what it lacks in the Study's namespace, or correct"
    " template.pod",
    "ContainerNotCreated": f"{_TEMPLATE}: its command, mounts or securityContext",
    "CannotRun": "The image must have what the command names",
    TRAINER_MISSING: "Install scaletune[trainer] in the image, for the Python that the command"
    " names",
    "Unschedulable": "It starts by itself once a node has room. If none ever will: lower the"
    " resources, or correct nodeSelector, affinity or tolerations in template.pod",
    "ClaimNotBound": "Create the claim, or the volume that it waits for",
    INCOMPLETE: "All pods of a trial have to start within torchrun's time; kubectl get pods shows"
    " what the missing ones wait for",
    "SchedulingGated": "Whoever set the scheduling gate has to remove it",
    "VolumesNotMounted": "Create what the volume names, or correct the volumes of template.pod",
    "PodNetworkFailed": "Look at the node's network plugin and container runtime",
    "PodSecurityViolated": "Take out of template.pod what the namespace's level of pod security"
    " forbids, or label the namespace for another level",
    "QuotaExceeded": "It starts by itself once quota is free. Else raise the quota, or lower"
    " parallelism or the resources in template.pod",
    "WebhookRefused": "Do what the admission webhook asks for, in template.pod",
    "PolicyRefused": "Do what the admission policy asks for, in template.pod",
    "OperatorForbidden": "Give the operator its role again: helm upgrade",
    "PodsNotCreated": "kubectl describe job tells more",
    "PodFailed": f"{_TEMPLATE}; kubectl describe trial tells how often it was tried",
}
# Of several obstacles of one gang, the one that waiting does not remove is told.
_PASSES: Final = frozenset({"Unschedulable", "ClaimNotBound", "SchedulingGated"})


@dataclass(frozen=True)
class Obstacle:
    """What stands in the way, as a condition says it."""

    reason: str
    message: str

    @classmethod
    def of(cls, reason: str, words: str) -> "Obstacle":
        """With the remedy after the cluster's words."""
        remedy = REMEDIES.get(reason, _TEMPLATE)
        return cls(reason, f"{words.strip().rstrip('.')}. {remedy}" if words else remedy)


@dataclass(frozen=True)
class Heard:
    """A warning that an Event gave about a Job or a pod."""

    reason: str
    message: str


def obstacle(
    job: Job | None, pods: Sequence[Pod], heard: Mapping[str, Heard | None], now: float
) -> Obstacle | None:
    """What stands in the way of an attempt; `heard` has the latest warning by uid, where asked."""
    if job is None:
        return None
    if job.is_suspended:
        by = f"by the queue {job.queue}" if job.queue else "by hand"
        resume = (
            "The queue resumes it when it has room"
            if job.queue
            else f"To resume it: kubectl patch job {job.name} -p "
            + '\'{"spec":{"suspend":false}}\''
        )
        return Obstacle(SUSPENDED, f"the Job {job.name} is suspended {by}. {resume}")
    if not pods:
        return _without_pods(job, heard) if is_without_pods(job, pods, now) else None
    found = [each for pod in pods if (each := _of_pod(pod, heard.get(pod.uid), now)) is not None]
    if not found:
        return None
    worst = min(found, key=lambda each: each.reason in _PASSES)
    return worst if job.nodes == 1 else _of_gang(worst, pods, job.nodes)


def is_without_pods(job: Job, pods: Sequence[Pod], now: float) -> bool:
    """Whether a Job should have had pods for a while."""
    is_wanted = not (job.is_suspended or job.is_deleted or job.is_finished)
    return is_wanted and not pods and now - job.released >= PATIENCE_SECONDS


def is_stuck(pod: Pod, now: float) -> bool:
    """Whether a pod has a node for a while, and no container, and does not say why."""
    is_creating = pod.waiting is not None and pod.waiting.reason == CREATING
    return is_creating and _has_had_time(pod, now)


def _has_had_time(pod: Pod, now: float) -> bool:
    return pod.scheduled is not None and now - pod.scheduled >= PATIENCE_SECONDS


def _is_left_alone(pod: Pod, now: float) -> bool:
    """Whether a pod has a node for a while that neither starts it nor lets it go, as when its
    kubelet is gone."""
    is_kept = pod.is_deleted and pod.is_disrupted and not pod.has_started
    is_ignored = pod.waiting is not None and pod.waiting.reason == UNHEARD
    return (is_kept or is_ignored) and not pod.is_over and _has_had_time(pod, now)


def _left_alone(pod: Pod) -> Obstacle:
    why = f" ({pod.disruption})" if pod.disruption else ""
    return Obstacle(
        NODE_SILENT,
        f"node {pod.node} has not started pod {pod.name}{why}, and does not say why: its kubelet"
        " may be gone. If the node comes back, all goes on by itself. If it is off for good, the"
        f" trial goes on elsewhere after: kubectl delete pod -n {pod.namespace} {pod.name} --force",
    )


def refused(words: str) -> Obstacle:
    """Why the API server does not take a pod, from its own words."""
    about = re.sub(r'^(Error creating: )?(pods? "[^"]*" is )?', "", words)
    found = (reason for text, reason in _REFUSALS if text in words)
    return Obstacle.of(next(found, "PodsNotCreated"), about)


def unstarted(gang: Gang) -> Obstacle | None:
    """Why some trainer of a gang never ran and never will; None when all did or may."""
    found = (each for pod in gang.pods if (each := _never_ran(pod)) is not None)
    return next(found, None)


def without_trainer(gang: Gang) -> Obstacle | None:
    """Why a gang that was seen to run had nothing to run: a slow machine shows even that."""
    obstacle = unstarted(gang)
    return obstacle if obstacle is not None and obstacle.reason == TRAINER_MISSING else None


def never_whole(gang: Gang, end: End) -> Obstacle | None:
    """Why a gang that has ended never ran as a whole; None when it did, or is not to blame.

    Those that ran waited for the others in vain, so that their errors say nothing, unless it was
    the script's.
    """
    obstacle, is_in_order = unstarted(gang), end.exit_code == 0 or end.disrupted
    if obstacle is not None or is_in_order or len(gang.pods) >= gang.nodes:
        return obstacle
    told_of = (message.reason for pod in gang.pods if (message := message_of(pod)) is not None)
    if Reason.USER_ERROR in told_of:
        return None
    told = end.message.error if end.message is not None else ""
    words = f"{len(gang.pods)} of {gang.nodes} pods came to run, and waited for the others in vain"
    return Obstacle.of(INCOMPLETE, f"{words}: {told}" if told else words)


def _without_pods(job: Job, heard: Mapping[str, Heard | None]) -> Obstacle:
    told = heard.get(job.uid)
    if told is not None:
        return refused(told.message)
    words = f"the Job {job.name} has no pods after {PATIENCE_SECONDS:g} s, and no Event says why"
    return Obstacle.of("PodsNotCreated", words)


def _of_pod(pod: Pod, heard: Heard | None, now: float) -> Obstacle | None:
    if _is_left_alone(pod, now):
        return _left_alone(pod)
    if pod.waiting is None or pod.waiting.reason == UNHEARD:
        return None
    if pod.waiting.reason in ("Unschedulable", "SchedulingGated"):
        return _unscheduled(pod.waiting)
    if pod.waiting.reason != CREATING:
        reason = _REASONS.get(pod.waiting.reason, pod.waiting.reason)
        return Obstacle.of(reason, pod.waiting.message)
    if heard is not None:
        reason = _REASONS.get(heard.reason, heard.reason)
        return Obstacle.of(reason, f"{heard.reason}: {heard.message}")
    return None


def _unscheduled(waiting: Waiting) -> Obstacle:
    is_about_a_claim = "persistentvolumeclaim" in waiting.message.lower()
    return Obstacle.of("ClaimNotBound" if is_about_a_claim else waiting.reason, waiting.message)


def _of_gang(found: Obstacle, pods: Sequence[Pod], nodes: int) -> Obstacle:
    placed = sum(pod.scheduled is not None for pod in pods)
    return Obstacle(found.reason, f"{placed} of {nodes} pods have a node; {found.message}")


def _never_ran(pod: Pod) -> Obstacle | None:
    """Why the trainer of a pod that is over never ran; None when it did, or was not to blame."""
    if pod.ending is None:
        is_told = pod.is_over and not pod.is_disrupted
        return Obstacle.of("PodFailed", pod.last_words or "the pod is over") if is_told else None
    text = pod.ending.message.strip()
    if pod.ending.reason in CANNOT_RUN:
        return Obstacle.of("CannotRun", f"the container cannot start: {text}")
    is_ours = message_of(pod) is not None  # what a script misses stands in words of our PID 1
    if "No module named" in text and "scaletune_trainer" in text and not is_ours:
        return Obstacle.of(TRAINER_MISSING, f"the image lacks the trainer package: {text}")
    return None


def is_half_placed(job: Job, pods: Iterable[Pod], now: float) -> bool:
    """Whether a gang has held some of its nodes for a while, and waits for others.

    Not one that a queue admits: the queue knows what it does.
    """
    pods = list(pods)
    if job.nodes < 2 or job.is_suspended or job.is_deleted or job.queue:
        return False
    placed = [pod.scheduled for pod in pods if pod.scheduled is not None and not pod.is_over]
    waits = [p for p in pods if p.waiting is not None and p.waiting.reason == "Unschedulable"]
    is_settled = bool(placed) and now - max(placed) >= PATIENCE_SECONDS
    return is_settled and bool(waits)
