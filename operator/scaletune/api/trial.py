"""Trial: one configuration being trained.

`spec` is the stored intent: what the plan decided. `status` is what was observed, and each
decision beside the record it rests on. Together with the Study they hold everything that `plan`
needs; no other state exists.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from scaletune.api.conditions import Conditions
from scaletune.api.configuration import Change, Checkpoint, Exploit, Origin, ParameterValue
from scaletune.api.model import API_VERSION, Metadata, Model, Time
from scaletune.api.record import Attempt, Failure, LastReport, Milestone
from scaletune.api.rules import immutable, map_by

TrialState = Literal["Pending", "Running", "Paused", "Stopped", "Completed", "Failed"]
Intent = Literal["Running", "Paused", "Stopped"]
TERMINAL: frozenset[str] = frozenset({"Stopped", "Completed", "Failed"})


def _fixed(name: str, **schema: Any) -> dict[str, Any]:
    return {**schema, **immutable(f"{name} cannot change after creation")}


class TrialSpec(Model):
    """The intent: what to train, how far, and whether it should be running. Written by the plan."""

    study: Annotated[str, Field(max_length=40, json_schema_extra=_fixed("study"))] = ""
    """study is the name of the Study."""
    index: Annotated[int, Field(ge=0, json_schema_extra=_fixed("index"))] = 0
    """index counts the trials of the study from 0; it is never used twice."""
    role: Annotated[
        Literal["Search", "Control", "Confirm"], Field(json_schema_extra=_fixed("role"))
    ] = "Search"
    """role is Search for a configuration of the search, Confirm for a training that confirms one,
    Control for one of all centers, to compare with."""
    candidate: Annotated[int, Field(ge=0, json_schema_extra=_fixed("candidate"))] | None = None
    """candidate is the index of the Trial that is confirmed."""
    repeat: Annotated[int, Field(ge=0, json_schema_extra=_fixed("repeat"))] | None = None
    """repeat counts the trainings of one configuration for confirmation, from 0; all configurations
    have the same seed at the same repeat."""
    bracket: Annotated[int, Field(ge=0, json_schema_extra=_fixed("bracket"))] = 0
    """bracket counts, from 0, the groups in which trials are compared: its trials alone are each
    other's competitors."""
    parameters: Annotated[
        tuple[ParameterValue, ...],
        Field(max_length=64, json_schema_extra=_fixed("parameters", **map_by("name"))),
    ] = ()
    """parameters as they were sampled."""
    resolved: Annotated[
        tuple[ParameterValue, ...],
        Field(max_length=64, json_schema_extra=_fixed("resolved", **map_by("name"))),
    ] = ()
    """resolved holds the values that scaling rules changed, as they are used."""
    schedule: Annotated[
        tuple[Change, ...],
        Field(max_length=64, json_schema_extra=_fixed("schedule", **map_by("after"))),
    ] = ()
    """schedule is how the values change while it trains, the earliest change first: at each of them
    the processes leave with a checkpoint, and the next attempt goes on with the new values."""
    seed: Annotated[int, Field(ge=0, json_schema_extra=_fixed("seed"))] = 0
    """seed of the trial's training."""
    origin: Origin | None = None
    """origin of the configuration."""
    until: int | None = None
    """until is the milestone up to which to train; the trainer pauses there by itself. A promotion
    raises it. Left out, the first one that the policy gives."""
    state: Intent = "Running"
    """state is what the trial should be doing."""
    parent: Annotated[Checkpoint, Field(json_schema_extra=_fixed("parent"))] | None = None
    """parent is the checkpoint of another trial from which this one began."""
    exploit: Exploit | None = None
    """exploit is the latest checkpoint and the values that it took over while it trained."""

    @property
    def values(self) -> tuple[ParameterValue, ...]:
        """The parameters that hold now."""
        return self.parameters if self.exploit is None else self.exploit.parameters

    @property
    def used(self) -> dict[str, float | int | str]:
        """The values that hold now, as the script uses them: after scaling rules."""
        resolved = self.resolved if self.exploit is None else self.exploit.resolved
        return {each.name: each.value for each in (*self.values, *resolved)}

    @property
    def began_at(self) -> int:
        """The step at which the trial itself began to train."""
        return 0 if self.parent is None else self.parent.step


class TrialStatus(Model):
    """What was observed, and what was decided on it."""

    conditions: Conditions = ()
    """conditions tell the story."""
    state: TrialState | None = None
    """state of the trial: Stopped is by the policy's or your will, Failed by its own fault."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """reason for the state, in words and numbers."""
    milestones: Annotated[
        tuple[Milestone, ...], Field(max_length=64, json_schema_extra=map_by("at"))
    ] = ()
    """milestones are the trial's records: one for each milestone that it has reached, and what was
    decided on it."""
    failure: Failure | None = None
    """failure is set once the trial has failed."""
    attempts: Annotated[
        tuple[Attempt, ...], Field(max_length=8, json_schema_extra=map_by("number"))
    ] = ()
    """attempts are the last few starts."""
    start_after: Time | None = None
    """startAfter is when the next attempt may begin, after one that could not start."""
    crashes: int = 0
    """crashes in a row without a newer checkpoint; see template.retries."""
    checkpoint: Checkpoint | None = None
    """checkpoint from which the next attempt resumes."""
    exploits: Annotated[
        tuple[Exploit, ...], Field(max_length=64, json_schema_extra=map_by("at"))
    ] = ()
    """exploits are all that it took over from other trials, the latest last."""
    last: LastReport | None = None
    """last report."""
    device_seconds: float = 0.0
    """deviceSeconds of all attempts: devices times seconds."""
    acknowledged: int = 0
    """acknowledged is the highest sequence stored from the current incarnation."""


class Trial(Model):
    """One configuration being trained."""

    api_version: Literal["scaletune.dev/v1alpha1"] = API_VERSION
    kind: Literal["Trial"] = "Trial"
    metadata: Metadata
    spec: TrialSpec = TrialSpec()
    """spec is what the plan decided that the trial should do."""
    status: TrialStatus = TrialStatus()
    """status is what was observed of it, and what was decided on that."""

    @property
    def index(self) -> int:
        """The trial's index in its study."""
        return self.spec.index
