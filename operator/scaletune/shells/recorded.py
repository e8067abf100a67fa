"""Recorded: the ledger of a study, made from what is stored of it.

    {"at": 0, "trial": 3, "created": true, "promoted": false}
    {"at": 7, "trial": 3, "step": 9, "value": 2.31}        the record with number 7
    {"at": 7, "trial": 1, "promoted": true}                decided when 7 was the latest

Any store will do: a cluster's Trials, the folder of a run. `scaletune replay` then decides all of
it anew, from the order of the records alone. When places became free is not stored, and need not
be: the lines say how many trials were promoted when, and replay finds out which. So it does not
matter whether a place was kept by a trial that was slow to leave, by a pause, or for lack of money.

What a ledger made here cannot tell: reports of Trials that were deleted, Trials that were stopped
by hand, and a number of trials that was raised in the middle.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from scaletune.api.record import Milestone
from scaletune.api.trial import Trial, TrialSpec

Line = dict[str, Any]

FAULTS = {"Diverged": "Diverged", "OutOfMemory": "OutOfMemory", "Failed": "RetriesExhausted"}


def ledger_lines(
    trials: Sequence[Trial], population: int = 0, *, lengths: bool = False
) -> list[Line]:
    """The lines in their order. Of a population, later members were created when others had left:
    it is said just before their first record. With lengths it is said how long each trial is."""
    created = [
        {"at": 0, **created_line(trial.spec, lengths=lengths), "promoted": False}
        for trial in sorted(trials, key=lambda each: each.index)
        if trial.spec.role == "Search"  # who confirms one comes when the search is over
        if not population or trial.index < population
    ]
    events = sorted(
        (event for trial in trials for event in _events(trial)),
        key=lambda event: (event[0], event[1], event[2]["trial"]),
    )
    later = [
        {
            "at": min(each.number for each in trial.status.milestones) - 0.5,
            **created_line(trial.spec, lengths=lengths),
        }
        for trial in trials
        if population and trial.index >= population and trial.status.milestones
        if trial.spec.role == "Search"
    ]
    lines = [*later, *({"at": number, **line} for number, _, line in events)]
    return created + sorted(lines, key=lambda line: float(line["at"]))


def created_line(spec: TrialSpec, *, lengths: bool = False) -> Line:
    """The line of a new trial; one that begins at another's checkpoint says at which milestone.

    Where a parameter says how long a trial is, the line has to: it holds no parameters.
    """
    began = {"begins": spec.began_at} if spec.parent else {}
    length = {"until": spec.until} if lengths else {}
    return {"trial": spec.index, "created": True, **began, **length}


def _events(trial: Trial) -> Iterator[tuple[int, int, Line]]:
    """(number, place in its snapshot, line): records come before what was decided on them."""
    levels = [record.at for record in trial.status.milestones]
    for record in trial.status.milestones:
        # In mode Stop a report may have been on its way when its trial was stopped below it.
        goes_on = record.decision == "Stop" and max(levels) > record.at
        yield record.number, 0, {**_record_line(trial, record), **_leaving(goes_on)}
        if record.promotion is not None:
            yield record.promotion.number, 2, {"trial": trial.index, "promoted": True}
    failure = trial.status.failure
    if failure is not None and failure.kind == "UserError":
        yield failure.number, 1, {"trial": trial.index, "failure": "UserError"}


def _record_line(trial: Trial, record: Milestone) -> Line:
    if record.outcome != "Value":
        return {"trial": trial.index, "failure": FAULTS[record.outcome]}
    # The milestone, not the report's own step: a record serves no other one.
    return {"trial": trial.index, "step": record.at, "value": record.value}


def _leaving(is_leaving: bool) -> Line:
    return {"leaving": True} if is_leaving else {}
