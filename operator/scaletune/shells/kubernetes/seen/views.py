"""What is read of Jobs and pods: a few fields each, whoever made the object.

An attempt's Job is found by its name and believed by its owner: the Trial's uid. A pod is found by
its labels and believed by its Job's uid. Names are used again by others, uids are not.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from scaletune.shells.kubernetes.names import (
    ATTEMPT_LABEL,
    DIRECTIVE_ANNOTATION,
    INDEX_ANNOTATION,
    QUEUE_LABEL,
    STUDY_LABEL,
    TRIAL_LABEL,
)
from scaletune.shells.kubernetes.seen.waiting import Waiting, last_words, waiting
from scaletune.shells.kubernetes.server.client import Json
from scaletune.shells.kubernetes.server.reconciler import Key
from scaletune_trainer import wire

_NODE_IS_SHORT: Final = re.compile(r"\bThe node (had condition|was low on resource)\b")


@dataclass(frozen=True)
class Place:
    """Which attempt of which Trial an object says it belongs to."""

    trial: str
    attempt: int


@dataclass(frozen=True)
class Job:
    """The Job of an attempt."""

    namespace: str
    name: str
    uid: str
    place: Place
    owner: str
    nodes: int
    is_finished: bool
    is_deleted: bool
    released: float
    """When its pods were first wanted, or last, if it was suspended in between."""
    is_suspended: bool
    queue: str
    """The queue that starts and suspends it, if there is one."""


@dataclass(frozen=True)
class Ending:
    """How the trainer's container ended."""

    exit_code: int
    message: str
    reason: str
    at: float


@dataclass(frozen=True)
class Pod:
    """A pod of an attempt; the one of rank 0 speaks for all."""

    namespace: str
    name: str
    uid: str
    place: Place
    rank: int
    owner: str
    created: float
    scheduled: float | None
    address: str
    directive: str
    is_running: bool
    is_over: bool
    is_disrupted: bool
    ending: Ending | None
    waiting: Waiting | None
    last_words: str
    node: str
    is_deleted: bool
    is_unreachable: bool
    """Whether its node does not answer: what runs there may go on running."""
    disruption: str
    """Why the cluster takes it away, in the cluster's words."""
    overuse: str
    """What it used too much of when the kubelet put it out, a disk for example."""
    devices: int | None
    """How many processes it was made for, whatever the template says today."""

    @property
    def has_started(self) -> bool:
        """Whether the trainer's container runs or ran."""
        return self.is_running or self.ending is not None

    @property
    def has_ended(self) -> bool:
        """Whether the trainer's container has; what runs beside it does not matter."""
        return self.is_over or self.ending is not None


def study_key(raw: Json) -> Key | None:
    """The Study that an object of ours says it belongs to, by its label."""
    metadata = raw["metadata"]
    study = (metadata.get("labels") or {}).get(STUDY_LABEL)
    return None if study is None else (metadata["namespace"], study)


def read_job(raw: Json) -> Job:
    """Reduce a Job. Raises ValueError when it has not our labels."""
    metadata = raw["metadata"]
    conditions = _conditions(raw)
    return Job(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        place=_place(metadata),
        owner=_owner(metadata),
        nodes=int((raw.get("spec") or {}).get("completions") or 1),
        is_finished=any(
            conditions.get(kind, {}).get("status") == "True" for kind in ("Complete", "Failed")
        ),
        is_deleted="deletionTimestamp" in metadata,
        released=instant(
            (raw.get("status") or {}).get("startTime") or metadata["creationTimestamp"]
        ),
        is_suspended=bool((raw.get("spec") or {}).get("suspend")),
        queue=(metadata.get("labels") or {}).get(QUEUE_LABEL, ""),
    )


def read_pod(raw: Json) -> Pod:
    """Reduce a pod. Raises ValueError when it has not our labels."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    conditions = _conditions(raw)
    scheduled = conditions.get("PodScheduled", {})
    trainer = spec["containers"][0]["name"]
    states = {
        each["name"]: each.get("state") or {} for each in status.get("containerStatuses") or ()
    }
    phase = status.get("phase", "Pending")
    annotations = metadata.get("annotations") or {}
    all_ended = bool(states) and all("terminated" in state for state in states.values())
    has_ended = phase in ("Succeeded", "Failed") or all_ended
    is_deleted = "deletionTimestamp" in metadata
    disruption = _disruption(conditions) or _pressure(status)
    # Deleted by force, it may stand here for the finalizer of its Job alone.
    is_given_up = not has_ended and is_deleted and metadata.get("deletionGracePeriodSeconds") == 0
    if is_given_up and not disruption:
        disruption = f"the pod was deleted by force from node {spec.get('nodeName')}"
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        place=_place(metadata),
        rank=int(annotations.get(INDEX_ANNOTATION, "0")),
        owner=_owner(metadata),
        created=instant(metadata["creationTimestamp"]),
        scheduled=(
            instant(scheduled["lastTransitionTime"]) if scheduled.get("status") == "True" else None
        ),
        address=status.get("podIP", ""),
        directive=annotations.get(DIRECTIVE_ANNOTATION, ""),
        is_running="running" in states.get(trainer, {}),
        # Deleted by force, it may stand here for the finalizer of its Job alone.
        is_over=has_ended or is_given_up,
        is_disrupted=bool(disruption),
        ending=_ending(states.get(trainer, {}).get("terminated")),
        waiting=waiting(raw),
        last_words=last_words(raw),
        node=spec.get("nodeName") or "",
        is_deleted=is_deleted,
        is_unreachable=_is_unreachable(phase, conditions),
        disruption=disruption,
        overuse=_overuse(status) if not disruption else "",
        devices=_devices(spec["containers"][0]),
    )


def _is_unreachable(phase: str, conditions: dict[str, dict[str, Any]]) -> bool:
    """The node controller takes the condition Ready from the pods of a node that does not answer,
    and no other; the kubelet and a readiness probe would take ContainersReady with it."""
    ready, containers = (conditions.get(kind, {}) for kind in ("Ready", "ContainersReady"))
    is_marked = ready.get("status") == "False" and containers.get("status") == "True"
    return phase == "Running" and is_marked and ready.get("reason") != "ReadinessGatesNotReady"


def _overuse(status: Json) -> str:
    is_evicted = status.get("reason") == "Evicted"
    return str(status.get("message") or "Evicted") if is_evicted else ""


def _disruption(conditions: dict[str, dict[str, Any]]) -> str:
    """Why the cluster takes the pod away, as it says; nothing while it does not."""
    target = conditions.get("DisruptionTarget", {})
    if target.get("status") != "True":
        return ""
    words = ": ".join(filter(None, (target.get("reason"), target.get("message"))))
    return words or "DisruptionTarget"


def _pressure(status: Json) -> str:
    """Why a kubelet that is short of something puts out or does not let in a pod, whatever the pod
    used itself. It says so by a condition only where it evicts."""
    message = str(status.get("message") or "") if status.get("reason") == "Evicted" else ""
    return message if _NODE_IS_SHORT.search(message) else ""


def _devices(trainer: Json) -> int | None:
    values = {each["name"]: each.get("value") or "" for each in trainer.get("env") or ()}
    with suppress(ValueError, KeyError, TypeError):
        if here := values.get("PET_NPROC_PER_NODE"):
            return int(here)
        return int(json.loads(values[wire.Variable.TRIAL].replace("$$", "$"))["processes"])
    return None


def instant(timestamp: str) -> float:
    """Seconds since the epoch of a Kubernetes timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()


def _ending(terminated: dict[str, Any] | None) -> Ending | None:
    if terminated is None:
        return None
    finished = terminated.get("finishedAt")
    return Ending(
        exit_code=int(terminated.get("exitCode", -1)),
        message=terminated.get("message", ""),
        reason=terminated.get("reason", ""),
        at=instant(finished) if finished else 0.0,
    )


def _conditions(raw: Json) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}


def _place(metadata: Json) -> Place:
    labels = metadata.get("labels") or {}
    try:
        return Place(labels[TRIAL_LABEL], int(labels[ATTEMPT_LABEL]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"the labels {labels} do not name a trial and an attempt") from error


def _owner(metadata: Json) -> str:
    """The uid of the controller."""
    owners = metadata.get("ownerReferences") or ()
    return next((each["uid"] for each in owners if each.get("controller")), "")
