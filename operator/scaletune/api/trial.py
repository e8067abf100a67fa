"""Trial: one configuration being trained.

`spec` is the stored intent: what the plan decided. `status` is what was observed, and each
decision beside the record it rests on. Together with the Study they hold everything that `plan`
needs; no other state exists.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from scaletune.api.conditions import Conditions
from scaletune.api.model import API_VERSION, Metadata, Model, Time
from scaletune.api.rules import immutable, map_by, rules

TrialState = Literal["Pending", "Running", "Paused", "Stopped", "Completed", "Failed"]
Intent = Literal["Running", "Paused", "Stopped"]
Outcome = Literal["Value", "Diverged", "OutOfMemory", "Failed"]
DecisionWord = Literal["Continue", "Stop", "Pause", "Promote", "Complete", "Void", "Exploit"]
FailureKind = Literal["Diverged", "OutOfMemory", "UserError", "RetriesExhausted"]
TERMINAL: frozenset[str] = frozenset({"Stopped", "Completed", "Failed"})
CONFIRMING_FROM: Final = 1_000_000  # the first index that is none of the search's
CONTROL: Final = CONFIRMING_FROM - 1


@rules(
    (
        "[has(self.float), has(self.int), has(self.choice)].filter(x, x).size() == 1",
        "give exactly one of float, int and choice",
    )
)
class ParameterValue(Model):
    """The value of one parameter."""

    name: Annotated[str, Field(max_length=63)]
    """name of the parameter."""
    float_: float | None = Field(default=None, alias="float")
    """float is the value of a real parameter."""
    int_: int | None = Field(default=None, alias="int")
    """int is the value of a whole-number parameter."""
    choice: Annotated[str, Field(max_length=253)] | None = None
    """choice is the value of a parameter without an order."""

    @property
    def value(self) -> float | int | str:
        """The one that is given."""
        for value in (self.float_, self.int_, self.choice):
            if value is not None:
                return value
        raise ValueError(f"parameter {self.name} has no value")


class Origin(Model):
    """Where a configuration comes from."""

    kind: Literal[
        "Initial",
        "WarmStart",
        "Random",
        "Grid",
        "Sobol",
        "List",
        "Center",
        "Mutation",
        "Model",
        "Repeat",
        "Child",
    ]
    """kind is Initial for one of spec.initial, WarmStart for one of an earlier study, else how the
    sampler found it: Random, Grid, Sobol and List saw no other trial, Center was drawn around the
    centers, Mutation changes a good trial, Model was proposed by a model of the trials so far,
    Repeat runs a good trial once more with another seed, Child goes on from the checkpoint of its
    parent, with values that pbt explores around the parent's."""
    of: int | None = None
    """of is the index of the trial that a Mutation changes, a Repeat repeats or a Child goes on
    from."""


class Checkpoint(Model):
    """A checkpoint to go on from."""

    incarnation: Annotated[str, Field(max_length=63)]
    """incarnation that wrote it."""
    step: int
    """step at which it was taken."""
    trial: int | None = None
    """trial is the index of the trial that wrote it, if it was another one."""


_Values = Annotated[
    tuple[ParameterValue, ...], Field(max_length=64, json_schema_extra=map_by("name"))
]


class Exploit(Model):
    """A trial gives up what it has trained, and goes on from another one's checkpoint."""

    at: int
    """at is the milestone at which they were compared."""
    donor: int
    """donor is the index of the trial whose checkpoint it takes."""
    checkpoint: Checkpoint
    """checkpoint of the donor at the milestone."""
    parameters: _Values = ()
    """parameters from here on, explored around the donor's."""
    resolved: _Values = ()
    """resolved holds those that scaling rules change, as they are used."""
    attempt: int = 0
    """attempt is the latest that had begun by then: it has to leave, and what it says does not
    count any more."""


class Change(Model):
    """Other values from a step on, as they were planned."""

    after: Annotated[int, Field(ge=1)]
    """after is the last step before the change."""
    parameters: _Values = ()
    """parameters that hold from there on, all of them."""
    resolved: _Values = ()
    """resolved holds those that scaling rules change, as they are used."""


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


class Evidence(Model):
    """What a decision rests on."""

    n: int | None = None
    """n is how many records the rung held."""
    rank: int | None = None
    """rank of this trial among them, 0 being the best."""
    quota: int | None = None
    """quota is how many of them may go on."""
    against: int | None = None
    """against is the index of the trial that holds the last place that goes on."""


class Promotion(Model):
    """A later decision about a record: its trial goes on to the next rung."""

    number: int
    """number of the latest record that the promotion used."""
    evidence: Evidence = Evidence()
    """evidence at that time."""


class Milestone(Model):
    """The one record of a trial at a milestone, and what was decided on it."""

    at: int
    """at is the milestone, in training.unit."""
    step: int = 0
    """step of the report that serves: the first at or after the milestone."""
    value: float | None = None
    """value of the objective; none when the outcome is not Value."""
    outcome: Outcome = "Value"
    """outcome is Value, or how the configuration failed on the way."""
    device_seconds: float = 0.0
    """deviceSeconds that the trial had used by then."""
    cost: float | None = None
    """cost of the training so far, as the script says; see policy.carbs.costMetric."""
    number: int = 0
    """number orders all records of the study by their arrival."""
    decision: DecisionWord | None = None
    """decision taken on this record; none while it is undecided."""
    evidence: Evidence | None = None
    """evidence of the decision."""
    promotion: Promotion | None = None
    """promotion is set when the trial was later promoted from here."""
    checkpoint: Checkpoint | None = None
    """checkpoint at the milestone, where the policy may let other trials go on from it."""


class Failure(Model):
    """Why a trial failed."""

    kind: FailureKind
    """kind says whose fault: Diverged, OutOfMemory and RetriesExhausted count against the
    configuration, UserError against the script."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """reason in words, such as the last lines of the failing process."""
    number: int = 0
    """number is that of the latest record when it failed; it orders failures."""
    at: int | None = None
    """at is the milestone at which the failure is ranked, if it is."""


class Attempt(Model):
    """One start of the trial's processes."""

    number: int
    """number counts attempts from 1."""
    incarnation: Annotated[str, Field(max_length=63)] = ""
    """incarnation is the identity of this life of rank 0, such as its pod's uid."""
    template_hash: Annotated[str, Field(max_length=63)] = ""
    """templateHash tells which template was used."""
    device_seconds: float = 0.0
    """deviceSeconds of this attempt."""
    cause: Annotated[str, Field(max_length=63)] = ""
    """cause of its end; empty while it runs."""
    started_at: Time | None = None
    """startedAt is when it began."""
    restored: Checkpoint | None = None
    """restored is the checkpoint that it went on from; deleted once a newer one is stored."""
    withdrawal: Annotated[str, Field(max_length=63)] = ""
    """withdrawal is why it is taken back before it has started; empty while it is not."""

    disruption: Annotated[str, Field(max_length=1024)] = ""
    """disruption is why the cluster takes one of its pods away, once it says so."""
    earlier_device_seconds: float = 0.0
    """earlierDeviceSeconds are those of its earlier incarnations: a Job that was suspended goes on
    in new pods."""
    unheard_after: int | None = None
    """unheardAfter is set when it ended without its last words, as on a lost node: what its journal
    says after this sequence, the next attempt tells."""


class LastReport(Model):
    """The latest report, whether or not it served a milestone."""

    step: int
    """step of the report."""
    value: float | None = None
    """value of the objective; none when it was not finite."""
    generation: int = 0
    """generation of the directive that the trainer followed."""
    sequence: int = 0
    """sequence of the report in its incarnation's journal."""
    device_seconds: float = 0.0
    """deviceSeconds that the trial had used by then."""


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


@dataclass(frozen=True)
class Repeat:
    """One training for confirmation: of a candidate, or of the control (no candidate)."""

    candidate: int | None
    number: int

    @property
    def index(self) -> int:
        """The index of its Trial, beyond all of the search's: those count configurations."""
        candidate = CONTROL if self.candidate is None else self.candidate
        return CONFIRMING_FROM * (self.number + 1) + candidate


def repeat_of(index: int) -> Repeat | None:
    """Which training for confirmation has this index; None where it is one of the search."""
    number, candidate = divmod(index, CONFIRMING_FROM)
    if not number:
        return None
    return Repeat(None if candidate == CONTROL else candidate, number - 1)


def trial_name(study: str, index: int) -> str:
    """A Trial's name; a repeated create of the same index is a harmless conflict."""
    repeat = repeat_of(index)
    if repeat is None:
        return f"{study}-{index:04d}"
    if repeat.candidate is None:
        return f"{study}-control-{repeat.number}"
    return f"{study}-confirm-{repeat.candidate}-{repeat.number}"


def index_of(name: str) -> int | None:
    """The index in a Trial's name, if there is one."""
    repeat = re.search(r"-(?:control|confirm-([0-9]+))-([0-9]+)$", name)
    if repeat is not None:
        return Repeat(int(repeat[1]) if repeat[1] else None, int(repeat[2])).index
    found = re.search(r"[0-9]+$", name)
    return int(found[0]) if found else None
