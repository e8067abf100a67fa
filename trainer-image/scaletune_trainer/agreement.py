"""What the ranks agree on between two steps: to go on, to write a checkpoint, or to leave.

Rank 0 reads the directive; any rank may have been asked to leave. Agreeing costs an all-reduce, so
with fast steps it happens about four times a second (alone: fifty times), at a step known to all
beforehand, and always at a milestone and at `until`. All numbers are integers and travel as such.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from scaletune_trainer.wire import Directive, Reason, State

_STATES = (State.RUNNING, State.PAUSED, State.STOPPED)
_SECONDS_BETWEEN = 0.25
_SECONDS_BETWEEN_ALONE = 0.02
_STEPS_BETWEEN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Agreement:
    """The same on every rank; a rank with nothing to say says 0."""

    generation: int = 0
    until: int = 0
    state: int = 0
    asked_to_leave: int = 0
    diverged: int = 0
    checkpoint: int = 0
    next_steps: int = 0

    @classmethod
    def wished(cls, directive: Directive) -> Agreement:
        return cls(
            generation=directive.generation,
            until=directive.until,
            state=_STATES.index(directive.state),
        )

    def numbers(self) -> list[int]:
        return list(astuple(self))

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Agreement:
        return cls(*numbers)

    def reason_to_leave(self, step: int, step_max: int) -> Reason | None:
        """What has been reached comes before what was wished, and a wish before a signal."""
        if self.diverged:
            return Reason.DIVERGED
        if step >= step_max:
            return Reason.DONE
        if _STATES[self.state] is State.STOPPED:
            return Reason.STOPPED
        if _STATES[self.state] is State.PAUSED or step >= self.until:
            return Reason.PAUSED
        return Reason.TERMINATED if self.asked_to_leave else None


class Pace:
    """How many steps rank 0 lets pass until the next agreement."""

    def __init__(self, world: int) -> None:
        self._seconds = _SECONDS_BETWEEN_ALONE if world == 1 else _SECONDS_BETWEEN
        self._steps = 1
        self._at = time.monotonic()
        self._step = 0

    def next_steps(self, step: int) -> int:
        now = time.monotonic()
        passed = step - self._step
        if passed > 0:
            each = max(1e-9, (now - self._at) / passed)
            wanted = int(self._seconds / each)
            self._steps = max(1, min(wanted, 4 * self._steps, _STEPS_BETWEEN_MAX))
        self._at, self._step = now, step
        return self._steps
