"""What a training script sees of Scaletune: its parameters, its steps, its reports.

    trial = scaletune.trial(defaults={"learning_rate": 1e-3}, max_steps=1000)
    trial.track(model=model, optimizer=optimizer)
    for step in trial.steps():
        trial.report(train_loss=train(step))
        if trial.due:
            trial.report(val_loss=evaluate())

Every rank runs the same lines; rank 0 talks. `steps()` goes on where the checkpoint left, writes
checkpoints and ends at the same step on all ranks: at the milestone, on a directive, or on
SIGTERM. Without Scaletune the same script trains with its defaults and prints its reports.

(Not called trial.py: importing a module of that name would hide the function.)
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import FrameType, MappingProxyType
from typing import Any

from scaletune_trainer import departure, runfolder, wire
from scaletune_trainer.agreement import Agreement, Pace
from scaletune_trainer.checkpoint import Checkpoints, Position
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.directive import DirectiveFile
from scaletune_trainer.environment import Environment
from scaletune_trainer.failure import UserError, record_uncaught
from scaletune_trainer.gang import Gang
from scaletune_trainer.journal import Journal
from scaletune_trainer.report import JournalReporter, Reporter, ScreenReporter, SilentReporter
from scaletune_trainer.settings import Settings
from scaletune_trainer.tracked import Tracked
from scaletune_trainer.wire import Reason, Value

__all__ = ["Trial", "UserError", "trial"]

_CHECKPOINT_SECONDS = 300.0
_MILESTONE_SECONDS = 10.0
_SHARE_OF_TIME = 20


def trial(
    *,
    defaults: Mapping[str, Value] | None = None,
    max_steps: int | None = None,
    every: int | None = None,
    checkpoint_seconds: float = _CHECKPOINT_SECONDS,
) -> Trial:
    """The trial of this process. Call it once, early: from here on failures are explained.

    `defaults` and `max_steps` hold where Scaletune says nothing; `every` sets evaluation points
    beside the milestones; `checkpoint_seconds` is the longest time whose work may be lost.
    """
    if failure_file := runfolder.own_failure_file():
        record_uncaught(failure_file)
    environment = Environment.read(os.environ) if os.environ.get(wire.Variable.TRIAL) else None
    if environment is None and max_steps is None:
        raise UserError("scaletune.trial: without Scaletune give max_steps, e.g. max_steps=1000")
    return Trial(environment, dict(defaults or {}), max_steps or 1, every, checkpoint_seconds)


class Trial:
    """One configuration being trained, as its script sees it."""

    def __init__(
        self,
        environment: Environment | None,
        defaults: Mapping[str, Value],
        max_steps: int,
        every: int | None,
        checkpoint_seconds: float,
    ) -> None:
        spec = environment.spec if environment else None
        self._environment = environment
        self._gang = Gang()
        self.rank, self.local_rank = self._gang.rank, self._gang.local_rank
        self.world_size = self._gang.world
        self.parameters: Mapping[str, Value] = MappingProxyType(
            {**defaults, **(spec.parameters if spec else {})}
        )
        self.seed = spec.seed if spec else 0
        self.max_steps = spec.max if spec else max_steps
        self.step = 0
        """The step being trained, from 1; 0 before the first."""
        self._milestones = frozenset(spec.milestones if spec else ())
        self._changes_at = (spec.changes_at if spec else None) or self.max_steps
        self._until = self._changes_at
        self._every = every
        self._tracked = Tracked()
        self._checkpoint_seconds = checkpoint_seconds
        trial_folder = spec.folder(environment.volume) if spec and environment else None
        incarnation = environment.incarnation if environment else ""
        self._checkpoints = Checkpoints(trial_folder, incarnation, self._gang, self._tracked)
        if spec and spec.keep:
            self._checkpoints.lent = self._milestones
        self._reporter = self._make_reporter()
        self._directive = DirectiveFile(
            environment.directive if environment else None,
            wire.Directive(generation=0, until=self.max_steps),
        )
        self._followed = self._directive.latest
        self._pace = Pace(self.world_size)
        self._generation = self._agree_at = self._started_at = 0
        self._asked_to_leave = self._walked = False

    def track(self, **things: Any) -> None:
        """What checkpoints hold: models, optimizers, anything with a state, or a plain dict."""
        for name, thing in things.items():
            self._tracked.add(name, thing)

    @property
    def due(self) -> bool:
        """Whether this step wants an evaluation: a milestone, a point of `every`, or the last."""
        at_point = self._every is not None and self.step % self._every == 0
        return at_point or self.step in self._milestones or self.step >= self._until

    def report(self, **values: Any) -> None:
        """Say what was measured at this step. Every rank may call it; rank 0 is heard."""
        self._reporter.report(self.step, values)

    def steps(self) -> Iterator[int]:
        """The steps still to be trained. Everything to be kept must be tracked before."""
        if self._walked:
            raise UserError("trial.steps() can be walked only once")
        self._walked = True
        if self._tracked.is_empty and self._changes_at < self.max_steps:
            raise UserError(
                f"other values hold after step {self._changes_at}, and a checkpoint carries the "
                "training there: call trial.track(model=..., optimizer=...) before trial.steps()"
            )
        if self._environment and self._tracked.is_empty and self.rank == 0:
            sys.stderr.write(
                "scaletune: nothing is tracked, so no checkpoint is written and a trial that is "
                "paused or interrupted starts again from step 1: call trial.track(model=..., ...)\n"
            )
        self._gang.join()
        self._checkpoints.incarnation = self._gang.told_by_rank_0(self._checkpoints.incarnation)
        self._restore()
        previous = self._listen()
        try:
            while (reason := self._between_steps()) is None:
                self.step += 1
                yield self.step
            self._leave(reason)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _between_steps(self) -> Reason | None:
        step = self.step
        scheduled = step >= self._agree_at or step >= self._until or step in self._milestones
        urgent = self.world_size == 1 and (self._asked_to_leave or self._reporter.diverged)
        if not (scheduled or urgent):
            return None
        agreed = Agreement.of(self._gang.maxima(self._say().numbers()))
        self._agree_at = step + agreed.next_steps
        self._until = min(agreed.until, self._changes_at)
        agreed = replace(agreed, until=self._until)
        self._follow()
        reason = agreed.reason_to_leave(step, self.max_steps)
        if reason is None and agreed.checkpoint:
            self._save()
        return reason

    def _say(self) -> Agreement:
        """What this rank brings to the agreement."""
        asked = int(self._asked_to_leave)
        if self.rank != 0:
            return Agreement(asked_to_leave=asked)
        return replace(
            Agreement.wished(self._directive.read()),
            asked_to_leave=asked,
            diverged=int(self._reporter.diverged),
            checkpoint=int(self._wants_checkpoint()),
            next_steps=self._pace.next_steps(self.step),
        )

    def _follow(self) -> None:
        """Rank 0 acknowledges a new directive and deletes what it lists."""
        directive = self._directive.latest
        if self.rank != 0 or directive is self._followed:
            return
        self._followed = directive
        if directive.generation > self._generation:
            self._generation = directive.generation
            self._reporter.acknowledge(directive.generation)
        for place in directive.remove:
            self._checkpoints.remove(place)

    def _wants_checkpoint(self) -> bool:
        """Now and then, and at milestones unless they follow each other at once.

        Never so often that writing takes more than a twentieth of the time.
        """
        if not self._checkpoint_seconds or self.step in self._checkpoints.lent:
            return True
        since = time.monotonic() - self._checkpoints.written_at
        enough = self._checkpoint_seconds
        if self.step in self._milestones:
            enough = min(enough, _MILESTONE_SECONDS)
        return since >= max(enough, _SHARE_OF_TIME * self._checkpoints.cost_seconds)

    def _save(self) -> None:
        """Collective. A checkpoint of the step at which we started would be a copy."""
        if self.step == self._started_at:
            return
        position = Position(self.step, sorted(self._reporter.served))
        self._checkpoints.save(position, lambda: self._reporter.checkpoint(self.step))
        self._checkpoints.forget(self._directive.latest.acknowledged)

    def _restore(self) -> None:
        if self._environment is None:
            return
        own = os.environ.get(runfolder.RESTORE, "")
        if told := self._gang.told_by_rank_0(own):
            place = wire.Place.parse_any(told)
            folder = self._environment.spec.checkpoint_folder(self._environment.volume, place)
            has_others = place.trial is not None or self._is_changed(place)
            own_values = Settings.of(self._tracked) if has_others else None
            position = self._checkpoints.restore(folder, self.seed)
            if own_values is not None:
                own_values.apply()
            self.step = self._started_at = self._agree_at = position.step
            self._reporter.served.update(position.served)

    def _is_changed(self, place: wire.Place) -> bool:
        """Whether this checkpoint of the trial's own was written with other values."""
        spec = self._environment.spec if self._environment else None
        return spec is not None and spec.changed and place == spec.restore

    def _leave(self, reason: Reason) -> None:
        """All ranks together: nobody goes before everything is committed."""
        if reason in (Reason.DONE, Reason.PAUSED):
            self._require_objective()
        if reason in (Reason.DONE, Reason.PAUSED, Reason.TERMINATED):
            self._save()
        self._reporter.end(reason, self.step, self._checkpoints.latest)
        runfolder.say_agreed_end(reason)
        self._gang.barrier()
        departure.agree()

    def _require_objective(self) -> None:
        """Without this a forgotten report would look like a trial that never gets anywhere."""
        reached = self.step > self._started_at and self.step in self._milestones
        if self.rank == 0 and reached and self.step not in self._reporter.served:
            metric = self._environment.spec.metric if self._environment else ""
            names = ", ".join(sorted(self._reporter.names)) or "nothing at all"
            raise UserError(
                f"step {self.step} was reached without a report of {metric}, the study's "
                f"objective; reported was {names}: call trial.report({metric}=...) whenever "
                "trial.due is true, or make a Study whose objective names what is reported"
            )

    def _listen(self) -> dict[int, Any]:
        """Let SIGTERM (and, under Scaletune, Ctrl-C) end training between two steps."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        numbers = [signal.SIGTERM, signal.SIGINT] if self._environment else [signal.SIGTERM]
        return {number: signal.signal(number, self._note) for number in numbers}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_leave = True

    def _make_reporter(self) -> Reporter:
        if self.rank != 0:
            return SilentReporter()
        if self._environment is None:
            return ScreenReporter(lambda: self.due)
        spec = self._environment.spec
        journal = Journal(wire.journal_path(self._environment.folder))
        return JournalReporter(journal, spec, DeviceClock.inherited(spec.processes))
