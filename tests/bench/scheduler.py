"""Scaletune behind the interface of a table benchmark: the real `observe` and `plan`, no simulator.

A benchmark that has its own workers and clock asks a scheduler what a free worker is to do, and
tells it every report. This class keeps the Trials as a shell would, and answers with what the plan
says; it decides nothing. Places are the benchmark's affair: it asks only when one is free.
"""

import math
from collections.abc import Mapping
from typing import Any

from scaletune.api.action import Create
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.observe import Report, observe
from scaletune.core.plan import judge
from scaletune.core.starts import decided, next_start

CONTINUE, STOP, PAUSE = "continue", "stop", "pause"
Answer = tuple[Any, ...]


class Scheduler:
    """One study's Trials, fed by a benchmark's calls. Values are minimised."""

    def __init__(self, study: Study) -> None:
        self.study, self.ledger = study, Ledger.of(study, ())
        self._number = 0

    def on_trial_free(self, now: float) -> Answer | None:
        """What a free worker does: a new trial, a promoted one, or nothing."""
        start = next_start(self.study, self.ledger)
        if start is None:
            return None
        status = start.after.status.model_copy(update={"state": "Running"})
        trial = start.after.model_copy(update={"status": status})
        self.ledger = self.ledger.replace(start.before, trial)
        if not isinstance(start.action, Create):
            return "resume", trial.index
        resolved = (*trial.spec.parameters, *trial.spec.resolved)
        return "start", {each.name: each.value for each in resolved}

    def on_trial_added(self, trial: int, configuration: Mapping[str, Any]) -> None:
        """Both count trials from 0 in the order of their creation."""

    def on_report(self, trial: int, unit: int, value: float, cost: float, now: float) -> str:
        """Only a report at a milestone changes anything."""
        before = self.ledger.trial(trial)
        frame = self.ledger.frame
        if unit < (frame.next_level(before) or math.inf):
            return CONTINUE
        self._take_in(before, Report(trial, unit, value, cost, sequence=unit), cost)
        after = self.ledger.trial(trial)
        if after.spec.state == "Stopped":
            return STOP
        if frame.next_level(after) is not None:
            return CONTINUE
        return PAUSE

    def on_complete(self, trial: int, unit: int, value: float, cost: float, now: float) -> None:
        """The last report has said so."""

    def on_error(self, trial: int, unit: int, now: float) -> None:
        """The configuration has diverged: it competes at its next milestone, and loses."""
        before = self.ledger.trial(trial)
        seconds = before.status.device_seconds
        self._take_in(before, Report(trial, unit + 1, math.nan, seconds), seconds)

    def _take_in(self, before: Trial, report: Report, cost: float) -> None:
        """Store the record, then what is decided on it, then the state that follows."""
        [observed] = observe(self.study, [before], [report], ledger=self.ledger)
        state = "Failed" if observed.status.failure else "Running"
        charged = {"device_seconds": cost, "state": state}
        trial = observed.model_copy(update={"status": observed.status.model_copy(update=charged)})
        self.ledger = self.ledger.replace(before, trial)
        decisions, _ = judge(self.study, self.ledger)
        for made in decisions:
            after = decided(trial, made)
            if made.decision == "Stop" and state == "Running":
                after = _left(after, "Stopped")
            elif made.decision in ("Pause", "Complete"):
                after = _left(after, "Paused" if made.decision == "Pause" else "Completed")
            self.ledger = self.ledger.replace(trial, after)
            trial = after


def _left(trial: Trial, state: str) -> Trial:
    """The trial, gone from its worker."""
    spec = trial.spec
    if state == "Stopped":
        spec = spec.model_copy(update={"state": "Stopped"})
    status = trial.status.model_copy(update={"state": state})
    return trial.model_copy(update={"spec": spec, "status": status})
