"""Lineage: which parameters a trial's weights have really been trained with, piece by piece.

A trial that went on from another one's checkpoint has that one's past. So what population based
training finds is a schedule: parameters that hold from one step to another.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from scaletune.api.configuration import Checkpoint, ParameterValue
from scaletune.api.trial import Trial
from scaletune.core.lifecycle import highest_milestone, taken_before


@dataclass(frozen=True)
class Piece:
    """A part of a training: after `start`, up to `until`, as this trial, with these parameters."""

    start: int
    until: int
    trial: int
    parameters: tuple[ParameterValue, ...]
    resolved: tuple[ParameterValue, ...]

    @property
    def used(self) -> dict[str, float | int | str]:
        """The values as the script used them."""
        return {each.name: each.value for each in (*self.parameters, *self.resolved)}


def lineage(
    find: Callable[[int], Trial | None], trial: Trial, upto: int | None = None
) -> list[Piece]:
    """The pieces of a trial's training, from the first step up to a milestone; else the latest.

    `find` gives the Trial of an index. A past that was deleted with its Trial is left out.
    """
    until = highest_milestone(trial) if upto is None else upto
    taken, spec = taken_before(trial, until), trial.spec
    if taken is not None:
        before: Checkpoint | None = taken.checkpoint
        parameters, resolved = taken.parameters, taken.resolved
    else:
        before, parameters, resolved = spec.parent, spec.parameters, spec.resolved
    start = 0 if before is None else before.step
    own = [Piece(start, until, trial.index, parameters, resolved)]
    for each in spec.schedule:
        if own[-1].start <= each.after < until:
            last = own.pop()
            own += [replace(last, until=each.after)] if last.start < each.after else []
            own.append(Piece(each.after, until, trial.index, each.parameters, each.resolved))
    donor = None if before is None or before.trial is None else find(before.trial)
    return [*([] if donor is None else lineage(find, donor, start)), *own]
