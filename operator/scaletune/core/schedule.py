"""Schedule: values that change while a trial trains, at steps that are known beforehand.

A trainer reads its values once, at its start. So at a change the trial's processes leave with a
checkpoint, and the next attempt goes on from there with the new values: as when population based
training gives it other ones, and whatever the script does with them. Nothing is decided, and no
place is given up: that the trial is meant to run on stays its intent all the while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scaletune.api.configuration import Change, ParameterValue
from scaletune.api.study import StudySpec
from scaletune.api.trial import Trial
from scaletune.core.lifecycle import highest_milestone, resumes_from
from scaletune.core.lineage import Piece, lineage
from scaletune.core.samplers.draws import typed
from scaletune.core.scaling import resolve

Parameters = tuple[ParameterValue, ...]
CHANGES_MAX = 64


@dataclass(frozen=True)
class Course:
    """The values of a whole training: those of its start, and how they change."""

    parameters: Parameters
    schedule: tuple[Change, ...] = ()

    def at(self, step: int) -> Parameters:
        """Those that hold after a step."""
        passed = [each.parameters for each in self.schedule if each.after <= step]
        return passed[-1] if passed else self.parameters


@dataclass(frozen=True)
class Leg:
    """What one attempt trains: from its checkpoint up to the next change."""

    used: dict[str, float | int | str]
    changes_at: int | None
    is_changed: bool
    """Whether its checkpoint was written with other values."""


def leg(trial: Trial) -> Leg:
    """What the attempt that begins at the trial's checkpoint trains."""
    place = resumes_from(trial)
    step, schedule = 0 if place is None else place.step, trial.spec.schedule
    passed = [each for each in schedule if each.after <= step]
    used = trial.spec.used
    if passed:
        values = (*passed[-1].parameters, *passed[-1].resolved)
        used = {each.name: each.value for each in values}
    coming = next((each.after for each in schedule if each.after > step), None)
    return Leg(used, coming, bool(passed) and passed[-1].after == step)


def scheduled(spec: StudySpec, parameters: Parameters) -> Course:
    """The course of a configuration under the study's own schedule."""
    values, changes = {each.name: each.value for each in parameters}, []
    for each in sorted(spec.schedule, key=lambda each: each.after):
        values = {**values, **each.values}
        changes.append((each.after, typed(spec, values)))
    return _course(spec, parameters, changes)


def course_of(spec: StudySpec, find: Callable[[int], Trial | None], trial: Trial) -> Course:
    """With what the trial was trained, up to its highest milestone; the last values hold on."""
    if not (trial.status.exploits or trial.spec.parent):
        return Course(trial.spec.parameters, trial.spec.schedule)
    pieces = lineage(find, trial, highest_milestone(trial))
    return course(spec, pieces)


def course(spec: StudySpec, pieces: Sequence[Piece]) -> Course:
    """The same of a lineage. What is not known of its beginning was as what follows."""
    changes = [
        (after.start, after.parameters)
        for before, after in pairwise(pieces)
        if after.parameters != before.parameters
    ]
    return _course(spec, pieces[0].parameters, changes)


def _course(
    spec: StudySpec, first: Parameters, changes: Sequence[tuple[int, Parameters]]
) -> Course:
    made = [
        Change(after=after, parameters=values, resolved=resolve(spec, values))
        for after, values in changes
    ]
    return Course(first, tuple(made[:CHANGES_MAX]))
