"""Observe: reports become records, one per trial and milestone, numbered in their order.

The report with the smallest step at or after a milestone is its record. A number is one above the
highest in the study; several records of one snapshot are numbered by (trial, milestone). No clock
of a trainer orders anything: the order of arrival is data.

A value that is not finite, and a failure of the configuration, make one record at the lowest
milestone without one, whatever the step: the configuration competes there, and loses. A user's
error makes none. What is decided on a record is `plan`'s affair, and it sees stored records only.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaletune.api.record import Failure, FailureKind, LastReport, Milestone, Outcome
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger

OUTCOMES: dict[FailureKind, Outcome] = {
    "Diverged": "Diverged",
    "OutOfMemory": "OutOfMemory",
    "RetriesExhausted": "Failed",
}


class InvalidReports(ValueError):
    """Reports that contradict each other."""


@dataclass(frozen=True)
class Report:
    """A value of the objective at a step, as a trainer sent it."""

    trial: int
    step: int
    value: float  # any float: NaN and infinities mean that the training diverged
    device_seconds: float = 0.0
    attempt: int = 0
    generation: int = 0
    sequence: int = 0
    cost: float | None = None  # of the training so far, as the script says


@dataclass(frozen=True)
class Fault:
    """A trial that ended for good without reaching its milestone."""

    trial: int
    kind: FailureKind
    reason: str = ""


def observe(
    study: Study,
    trials: Iterable[Trial],
    reports: Iterable[Report],
    faults: Iterable[Fault] = (),
    ledger: Ledger | None = None,
) -> list[Trial]:
    """The Trials that change, with their new records; to be stored before `plan` sees them.

    Whoever has a Ledger of all of them gives it, and of the Trials those that may change.
    Raises InvalidReports when one report of a trial and step comes with two values.
    """
    by_index = {trial.index: trial for trial in trials}
    frame, known = (ledger.frame, ledger.highest_number) if ledger else (Frame.of(study), 0)
    arrived: dict[int, list[Report]] = {index: [] for index in sorted(by_index)}
    for report in reports:
        arrived[report.trial].append(report)
    fault_of: dict[int, Fault] = {}
    for fault in faults:
        fault_of.setdefault(fault.trial, fault)  # a trial fails once
    numbers = (_highest(trial) for trial in by_index.values())
    number = max(study.status.highest_number, known, *numbers)
    changed = []
    for index, each in arrived.items():
        trial = by_index[index]
        new = _absorb(frame, trial, _in_order(each), fault_of.get(index), number)
        number = max(number, _highest(new))
        if new is not trial:
            changed.append(new)
    return changed


def _highest(trial: Trial) -> int:
    return max([record.number for record in trial.status.milestones], default=0)


def _in_order(reports: list[Report]) -> list[Report]:
    """By step; of one step the first in (attempt, sequence), as it was known first."""
    ordered = sorted(reports, key=lambda each: (each.step, each.attempt, each.sequence))
    kept: list[Report] = []
    for report in ordered:
        if not kept or kept[-1].step != report.step:
            kept.append(report)
        elif _contradicts(kept[-1], report):
            raise InvalidReports(
                f"trial {report.trial} reports two values for step {report.step}:"
                f" {kept[-1].value} and {report.value}"
            )
    return kept


def _contradicts(one: Report, other: Report) -> bool:
    """Whether nothing tells which of two values for one step came first."""
    if (one.attempt, one.sequence) != (other.attempt, other.sequence):
        return False
    return one.value != other.value and not (math.isnan(one.value) and math.isnan(other.value))


def _absorb(
    frame: Frame, trial: Trial, reports: Sequence[Report], fault: Fault | None, number: int
) -> Trial:
    """One trial with what its reports and its fault make of it."""
    last = _last(trial, reports)
    known = list(reports) if trial.status.last is None else _with_last(trial, reports)
    made = _records(frame, trial, known, number)
    diverged = next((record for record in made if record.outcome == "Diverged"), None)
    failure = trial.status.failure
    if failure is None and diverged is not None:
        reason = f"the objective was not finite at step {diverged.step}"
        failure = Failure(kind="Diverged", reason=reason, number=diverged.number, at=diverged.at)
    if failure is None and fault is not None:
        made, failure = _fail(frame, trial, made, fault, number)
    records = (*trial.status.milestones, *made)
    if frame.population:
        records = with_checkpoints(trial, records)
    is_known = records == trial.status.milestones and failure is trial.status.failure
    if is_known and last is trial.status.last:
        return trial
    update = {
        "milestones": records,
        "failure": failure,
        "last": last,
    }
    return trial.model_copy(update={"status": trial.status.model_copy(update=update)})


def with_checkpoints(trial: Trial, records: tuple[Milestone, ...]) -> tuple[Milestone, ...]:
    """The records with what is known of the checkpoints at their milestones.

    Where others may take them over, a trainer writes one at each milestone that it passes.
    """
    latest, attempts = trial.status.checkpoint, trial.status.attempts
    if latest is None or latest.trial is not None:
        return records
    began = attempts[-1].restored.step if attempts and attempts[-1].restored else 0
    own = bool(attempts) and attempts[-1].incarnation == latest.incarnation
    return tuple(
        record.model_copy(update={"checkpoint": latest.model_copy(update={"step": record.at})})
        if record.checkpoint is None
        and record.value is not None
        and (record.at == latest.step or (own and began < record.at < latest.step))
        else record
        for record in records
    )


def _open_levels(frame: Frame, trial: Trial, made: Sequence[Milestone]) -> list[int]:
    """Milestones up to the trial's `until` that have no record; none once it has failed."""
    records = (*trial.status.milestones, *made)
    failed = trial.status.failure is not None
    if failed or any(record.outcome != "Value" for record in records):
        return []
    recorded = {record.at for record in records}
    return [
        level
        for level in frame.levels_of(trial)
        if trial.spec.began_at < level <= frame.until(trial) and level not in recorded
    ]


def _records(frame: Frame, trial: Trial, reports: Sequence[Report], number: int) -> list[Milestone]:
    made: list[Milestone] = []
    levels = _open_levels(frame, trial, made)
    for report in reports:
        if not math.isfinite(report.value):
            if levels:
                made.append(_record(levels[0], report, "Diverged", number + len(made) + 1))
            break
        while levels and report.step >= levels[0]:
            made.append(_record(levels.pop(0), report, "Value", number + len(made) + 1))
    return made


def _record(at: int, report: Report, outcome: Outcome, number: int) -> Milestone:
    return Milestone(
        at=at,
        step=report.step,
        value=report.value if outcome == "Value" else None,
        outcome=outcome,
        device_seconds=report.device_seconds,
        number=number,
        cost=report.cost if report.cost is None or math.isfinite(report.cost) else None,
    )


def _fail(
    frame: Frame, trial: Trial, made: list[Milestone], fault: Fault, number: int
) -> tuple[list[Milestone], Failure]:
    """A failure, and the record that a failure of the configuration makes."""
    number += len(made)
    levels = _open_levels(frame, trial, made)
    outcome = OUTCOMES.get(fault.kind)
    at = levels[0] if levels and outcome is not None else None
    if at is not None and outcome is not None:
        number += 1
        step = trial.status.last.step if trial.status.last else 0
        seconds = trial.status.device_seconds
        record = Milestone(at=at, step=step, outcome=outcome, device_seconds=seconds, number=number)
        made = [*made, record]
    return made, Failure(kind=fault.kind, reason=fault.reason[:1024], number=number, at=at)


def _last(trial: Trial, reports: Sequence[Report]) -> LastReport | None:
    """The report of the highest step ever; it serves again when the trial is promoted."""
    last = trial.status.last
    if not reports or (last is not None and reports[-1].step <= last.step):
        return last
    report = reports[-1]
    return LastReport(
        step=report.step,
        value=report.value if math.isfinite(report.value) else None,
        generation=report.generation,
        sequence=report.sequence,
        device_seconds=report.device_seconds,
    )


def _with_last(trial: Trial, reports: Sequence[Report]) -> list[Report]:
    last = trial.status.last
    assert last is not None
    served = Report(
        trial=trial.index,
        step=last.step,
        value=math.nan if last.value is None else last.value,
        device_seconds=last.device_seconds,
        attempt=-1,  # it was known before anything that arrives now
    )
    return _in_order([served, *reports])
