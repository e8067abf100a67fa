"""Reports: from what a script says to lines of the journal, or of the screen.

A report that serves a milestone, or that shows divergence, is written and synced at once. Others
may come thousands of times a second: at most ten lines a second are written, each with the latest
values; nothing that anybody decides on is ever left out.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from scaletune_trainer import wire
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.failure import UserError
from scaletune_trainer.journal import Journal

_SECONDS_BETWEEN_LINES = 0.1


class Reporter(Protocol):
    """Where reports go: the journal (rank 0 under Scaletune), the screen, or nowhere."""

    diverged: bool
    served: set[int]
    names: set[str]

    def report(self, step: int, values: Mapping[str, Any]) -> None: ...
    def acknowledge(self, generation: int) -> None: ...
    def checkpoint(self, step: int) -> int: ...
    def end(self, reason: wire.Reason, step: int, checkpoint: int | None) -> None: ...


class JournalReporter:
    """Rank 0 of a trial under Scaletune."""

    def __init__(self, journal: Journal, spec: wire.TrialSpec, clock: DeviceClock) -> None:
        self.diverged = False
        self.served: set[int] = set()
        self.names: set[str] = set()
        self._journal = journal
        self._objective = spec.metric
        self._levels = spec.milestones
        self._cost_metric = spec.cost_metric
        self._cost: float | None = None
        self._clock = clock
        self._generation = 0
        self._pending: dict[str, Any] = {}
        self._pending_step = 0
        self._written_at = -math.inf

    def report(self, step: int, values: Mapping[str, Any]) -> None:
        kept = {name: _kept(name, value) for name, value in values.items()}
        self.names.update(kept)
        if self._cost_metric in kept:
            self._cost = _number(self._cost_metric, kept[self._cost_metric])
        if self._objective not in kept:
            if self._objective in self._pending:
                self._flush()  # a line's values must be of its step
            self._add(step, kept)
            if time.monotonic() - self._written_at >= _SECONDS_BETWEEN_LINES:
                self._flush()
            return
        value = _number(self._objective, kept[self._objective])
        self._add(step, kept | {self._objective: value})
        levels = self._served_by(step, value)
        if levels and math.isfinite(value):
            self._require_cost(step)
        self.diverged = self.diverged or not math.isfinite(value)
        self.served.update(levels)
        if levels or self.diverged:
            self._flush(levels, synced=True)
        elif time.monotonic() - self._written_at >= _SECONDS_BETWEEN_LINES:
            self._flush()

    def acknowledge(self, generation: int) -> None:
        self._flush()
        self._generation = generation
        sequence = self._journal.next_sequence()
        entry = wire.AcknowledgedEntry(sequence, time.time(), generation)
        self._journal.append(entry, synced=False)

    def checkpoint(self, step: int) -> int:
        """The line's sequence number: a shell that acknowledges it knows the checkpoint."""
        self._flush()
        entry = wire.CheckpointEntry(self._journal.next_sequence(), time.time(), step)
        self._journal.append(entry, synced=True)
        return entry.sequence

    def end(self, reason: wire.Reason, step: int, checkpoint: int | None) -> None:
        self._flush()
        sequence = self._journal.next_sequence()
        entry = wire.EndEntry(sequence, time.time(), reason, step, checkpoint)
        self._journal.append(entry, synced=True)

    def _require_cost(self, step: int) -> None:
        """Without one the search would learn nothing from the training."""
        if self._cost_metric and not (self._cost or 0.0) > 0.0:
            name = self._cost_metric
            raise UserError(
                f"step {step} was reached, and {name}, the study's costMetric, was not reported or"
                f" is not above 0: call trial.report({name}=...) with the cost of the training so"
                " far, before or together with the objective"
            )

    def _served_by(self, step: int, value: float) -> list[int]:
        """The milestones whose report this is; divergence serves the next one, wherever it is."""
        waiting = [level for level in self._levels if level not in self.served]
        if not math.isfinite(value):
            return [level for level in waiting if level <= step] or waiting[:1]
        return [level for level in waiting if level <= step]

    def _add(self, step: int, kept: Mapping[str, Any]) -> None:
        self._pending.update(kept)
        self._pending_step = step

    def _flush(self, levels: Sequence[int] = (), *, synced: bool = False) -> None:
        if not self._pending:
            return
        entry = wire.ReportEntry(
            self._journal.next_sequence(),
            time.time(),
            self._pending_step,
            self._generation,
            {name: _number(name, value) for name, value in self._pending.items()},
            self._clock.device_seconds(),
            tuple(levels),
            self._cost if levels else None,
        )
        self._pending = {}
        self._written_at = time.monotonic()
        self._journal.append(entry, synced=synced)


class ScreenReporter:
    """A script that runs by itself: its reports are lines on the screen."""

    def __init__(self, is_due: Callable[[], bool]) -> None:
        self.diverged = False
        self.served: set[int] = set()
        self.names: set[str] = set()
        self._is_due = is_due
        self._shown_at = -math.inf

    def report(self, step: int, values: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if not self._is_due() and now - self._shown_at < 1:
            return
        self._shown_at = now
        numbers = (f"{name}={_number(name, value):.6g}" for name, value in values.items())
        sys.stdout.write(f"step {step}  {'  '.join(numbers)}\n")
        sys.stdout.flush()

    def acknowledge(self, generation: int) -> None: ...
    def end(self, reason: wire.Reason, step: int, checkpoint: int | None) -> None: ...

    def checkpoint(self, step: int) -> int:
        return 0


class SilentReporter:
    """Every rank but the first."""

    def __init__(self) -> None:
        self.diverged = False
        self.served: set[int] = set()
        self.names: set[str] = set()

    def report(self, step: int, values: Mapping[str, Any]) -> None: ...
    def acknowledge(self, generation: int) -> None: ...
    def end(self, reason: wire.Reason, step: int, checkpoint: int | None) -> None: ...

    def checkpoint(self, step: int) -> int:
        return 0


def _kept(name: str, value: Any) -> Any:
    """A copy that later changes in place cannot reach; a device's tensor is not waited for."""
    if getattr(value, "is_cuda", False):
        return value.detach().clone()
    return _number(name, value)


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"trial.report: {name} must be a number, but is {value!r:.80} ({error})"
        ) from error
