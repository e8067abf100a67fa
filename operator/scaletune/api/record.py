"""Records: what was observed of a trial, and what each decision on it rests on."""

from typing import Annotated, Literal

from pydantic import Field

from scaletune.api.configuration import Checkpoint
from scaletune.api.model import Model, Time

Outcome = Literal["Value", "Diverged", "OutOfMemory", "Failed"]
DecisionWord = Literal["Continue", "Stop", "Pause", "Promote", "Complete", "Void", "Exploit"]
FailureKind = Literal["Diverged", "OutOfMemory", "UserError", "RetriesExhausted"]


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
