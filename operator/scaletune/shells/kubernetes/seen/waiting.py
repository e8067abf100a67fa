"""Waiting: what the scheduler and the kubelet say of a pod whose trainer does not run yet. Pure.

Read of the API server's objects and left in their words; `starting` says what they mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

CREATING: Final = "ContainerCreating"
UNHEARD: Final = "KubeletSilent"
"""Not a word of the cluster's: the pod has a node, whose kubelet says nothing of it."""
_BACK_OFF: Final = re.compile(r'ImagePullBackOff: Back-off pulling image "[^"]*": ErrImagePull')
_ON_ITS_WAY: Final = frozenset({"", "PodInitializing", CREATING})


@dataclass(frozen=True)
class Waiting:
    """A pod that waits: for a node, or in one of its containers."""

    reason: str
    """As the cluster says it: Unschedulable, SchedulingGated, ImagePullBackOff, ..."""
    message: str
    """With its reason, where it is a container's."""


def waiting(raw: Json) -> Waiting | None:
    """What the pod waits for; None when it does not, or does not say."""
    status = raw.get("status") or {}
    if status.get("phase", "Pending") != "Pending":
        return None
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason") or "Unschedulable"
            return Waiting(reason, condition.get("message", ""))
    if raw["spec"].get("nodeName") and next(_states(raw), None) is None:
        return Waiting(UNHEARD, "")
    said = [_read(name, state["waiting"]) for name, state in _states(raw) if "waiting" in state]
    serious = (each for each in said if each.reason not in _ON_ITS_WAY)
    creating = (each for each in said if each.reason == CREATING)
    return next(serious, next(creating, None))


def last_words(raw: Json) -> str:
    """Why a pod is over whose trainer never came to run."""
    status = raw.get("status") or {}
    for name, state in _states(raw):
        ended = state.get("terminated") or {}
        if ended.get("exitCode"):
            return f"container {name} ended with exit code {ended['exitCode']}"
    words = [status.get("reason", ""), status.get("message", "")]
    return ": ".join(word for word in words if word)


def _read(container: str, state: Json) -> Waiting:
    words = [f"container {container}", state.get("reason", ""), state.get("message", "")]
    text = ": ".join(word for word in words if word)
    # A failing pull shows now as the error, now as the pause after it, with the error in it.
    return Waiting(state.get("reason", ""), _BACK_OFF.sub("ErrImagePull", text))


def _states(raw: Json) -> Iterator[tuple[str, Json]]:
    """(name, state) of every container that has one; those that run first, first."""
    status = raw.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(kind) or ():
            yield each["name"], each.get("state") or {}
