"""Conditions: every type, reason and message that a user reads in `kubectl describe`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from scaletune.api.model import Model, Time
from scaletune.api.rules import map_by

FINISHED: Final = "Finished"
READY: Final = "Ready"
PLAN_FAILED: Final = "PlanFailed"
HEALTHY: Final = "Healthy"
"""Of a Trial: how its latest attempt failed, whether that counts, and what to do."""
CONFIRMED: Final = "Confirmed"
"""Of a Study with spec.confirm: whether the best few were trained again, and who is best then."""
METRICS_REACHABLE: Final = "MetricsReachable"
"""Whether reports come through Prometheus, where one is asked; without it they come as well."""
CHECKPOINTS_READY: Final = "CheckpointsReady"
# Of a Trial: whether the processes of its latest attempt have started, and what stands in the way.
STARTED: Final = "Started"
# Of a Study: whether anything stands in the way of any of its trials.
TRIALS_STARTED: Final = "TrialsStarted"


class Condition(Model):
    """One fact about a Study or Trial, as Kubernetes writes conditions."""

    type: Annotated[str, Field(max_length=63)]
    """type of condition in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """status of the condition."""
    reason: Annotated[str, Field(max_length=63)]
    """reason for it in one CamelCase word."""
    message: Annotated[str, Field(max_length=2048)] = ""
    """message for people: what happened, and what to do next."""
    last_transition_time: Time | None = None
    """lastTransitionTime is when status last changed."""
    observed_generation: int = 0
    """observedGeneration of the spec that the condition is about."""


Conditions = Annotated[
    tuple[Condition, ...], Field(max_length=16, json_schema_extra=map_by("type"))
]


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of this type, if there is one."""
    return next((each for each in conditions if each.type == kind), None)


def is_true(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Whether the condition of this type holds."""
    found = condition(conditions, kind)
    return found is not None and found.status == "True"


def with_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """The conditions with one set, in their order: its transition time moves with its status."""
    old = condition(conditions, new.type)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if each.type == new.type else each for each in conditions)
