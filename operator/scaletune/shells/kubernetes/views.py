"""What is read of Jobs and pods: a few fields each, whoever made the object.

An attempt's Job is found by its name and believed by its owner: the Trial's uid. A pod is found by
its labels and believed by its Job's uid. Names are used again by others, uids are not.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scaletune.shells.kubernetes.client import Json
from scaletune.shells.kubernetes.names import (
    ATTEMPT_LABEL,
    DIRECTIVE_ANNOTATION,
    INDEX_ANNOTATION,
    QUEUE_LABEL,
    STUDY_LABEL,
    TRIAL_LABEL,
)
from scaletune.shells.kubernetes.reconciler import Key
from scaletune.shells.kubernetes.waiting import Waiting, last_words, waiting


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
        is_over=phase in ("Succeeded", "Failed") or all_ended,
        is_disrupted=conditions.get("DisruptionTarget", {}).get("status") == "True",
        ending=_ending(states.get(trainer, {}).get("terminated")),
        waiting=waiting(raw),
        last_words=last_words(raw),
    )


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
