"""Replay: the decisions that a ledger of recorded reports leads to.

The smallest shell: its world is a list of lines. Lines of equal time are one snapshot: records are
observed and decided, then promotions are made, then `created` lines take places. A trial holds a
place from its first line or its promotion until its record at `until`, its Stop or its failure.
A ledger that a run has written also says when a trial whose record is in had really `left`, so that
it replays to that run's own decisions. Creating trials and finishing is not replayed, and of the
budget only the number of trials counts: costs are not in the lines.

It calls the same `observe` and `plan` as every other shell and decides nothing.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from scaletune.api.action import Decide
from scaletune.api.model import Metadata, Model
from scaletune.api.study import Budget, Study
from scaletune.api.trial import TERMINAL, Trial, TrialSpec, TrialState, trial_name
from scaletune.core.ledger import Frame, Ledger
from scaletune.core.lifecycle import highest_milestone
from scaletune.core.observe import Fault, InvalidReports, Report, observe
from scaletune.core.plan import fill, judge
from scaletune.core.policies.policy import policy_of
from scaletune.core.starts import Start, decided, drained, promoted

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
LineFailure = Literal["Diverged", "OutOfMemory", "UserError", "RetriesExhausted", "Infrastructure"]


class Line(Model):
    """One line of a ledger: a report, or `created`, `failure` or `left`."""

    at: float
    """at is when it was seen, in seconds."""
    trial: Annotated[int, Field(ge=0)]
    """trial is the trial's index."""
    step: Annotated[int, Field(ge=0)] | None = None
    """step of the report."""
    value: float | Literal["NaN", "Infinity", "-Infinity"] | None = None
    """value of the report."""
    created: Literal[True] | None = None
    """created says that the trial took a place."""
    failure: LineFailure | None = None
    """failure of the trial."""
    left: Literal[True] | None = None
    """left says that the trial has given its place back."""
    leaving: Literal[True] | None = None
    """leaving says that the trial holds its place on until its `left` line."""

    @property
    def number(self) -> float:
        """The value as a float."""
        if isinstance(self.value, str):
            return NON_FINITE[self.value]
        assert self.value is not None
        return self.value


_LINE = TypeAdapter(Line)


class InvalidLedger(ValueError):
    """A ledger that cannot be read, with the line and what is wrong with it."""


def read_lines(text: str) -> list[Line]:
    """The lines of a ledger file. Raises InvalidLedger."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            read = _LINE.validate_python(json.loads(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise InvalidLedger(f"line {number}: {where}: {first['msg']}") from None
        except json.JSONDecodeError as error:
            raise InvalidLedger(f"line {number}: not JSON: {error}") from None
        _check(read, number)
        lines.append(read)
    return lines


def _check(line: Line, number: int) -> None:
    kinds = [line.created, line.failure, line.left, line.value]
    if sum(kind is not None for kind in kinds) != 1:
        raise InvalidLedger(f"line {number}: give one of value, created, failure and left")
    if line.value is not None and line.step is None:
        raise InvalidLedger(f"line {number}: a value needs a step")


def replay(study: Study, lines: Iterable[Line]) -> list[Decide]:
    """All decisions, in the order of their numbers, promotions after records.

    Raises InvalidLedger on times that run backwards, and on contradicting reports.
    """
    world = World(study)
    earlier = -math.inf
    for at, snapshot in groupby(lines, key=lambda line: line.at):
        if at < earlier:
            raise InvalidLedger(f"at {at}: lines must be in the order of their times")
        earlier = at
        try:
            world.take(list(snapshot))
        except InvalidReports as error:
            raise InvalidLedger(f"at {at}: {error}") from None
    return sorted(world.decisions, key=lambda made: (made.number, made.decision == "Promote"))


class World:
    """The trials of a replay, as a shell would have them stored."""

    def __init__(self, study: Study) -> None:
        budget = Budget(trials=study.spec.budget.trials)
        spec = study.spec.model_copy(update={"budget": budget, "state": "Running"})
        objective = spec.objectives[0].model_copy(update={"target": None})
        spec = spec.model_copy(update={"objectives": (objective,)})
        self.study = Study(metadata=study.metadata, spec=spec)
        self.frame = Frame.of(self.study)
        self.trials: dict[int, Trial] = {}
        self.leaving: set[int] = set()
        self.decisions: list[Decide] = []

    def take(self, snapshot: list[Line]) -> None:
        """One snapshot of lines."""
        created = [line.trial for line in snapshot if line.created]
        for line in snapshot:
            if line.trial not in self.trials and not line.created:
                self._add(line.trial)
        self._observe(snapshot)
        self._plan()
        for index in created:
            if index not in self.trials:
                self._add(index)

    def _add(self, index: int) -> None:
        name = trial_name(self.study.metadata.name, index)
        spec = TrialSpec(study=self.study.metadata.name, index=index, until=self.frame.first)
        trial = Trial(metadata=Metadata(name=name), spec=spec)
        self.trials[index] = _in_state(trial, "Running")

    def _observe(self, snapshot: list[Line]) -> None:
        reports = [
            Report(line.trial, line.step or 0, line.number)
            for line in snapshot
            if line.value is not None
        ]
        faults = list(_faults(snapshot))
        for trial in observe(self.study, self.trials.values(), reports, faults):
            self.trials[trial.index] = trial
        self.leaving |= {line.trial for line in snapshot if line.leaving}
        self.leaving -= {line.trial for line in snapshot if line.left}
        for index in {line.trial for line in snapshot}:
            self._settle(index)

    def _settle(self, index: int) -> None:
        """Give a place back, as the processes of the trial would have by ending."""
        trial = self.trials[index]
        if self.frame.state(trial) in TERMINAL or index in self.leaving:
            return
        if trial.status.failure is not None:
            self.trials[index] = _in_state(trial, "Failed")
        elif trial.spec.state == "Stopped":
            self.trials[index] = _in_state(trial, "Stopped")
        elif highest_milestone(trial) >= self.frame.until(trial):
            end: TrialState = (
                "Completed" if highest_milestone(trial) == self.frame.most else "Paused"
            )
            self.trials[index] = _in_state(trial, end)

    def _plan(self) -> None:
        """What a shell would do at once: store decisions, stop, promote, free."""
        made, _ = judge(self.study, self._ledger())
        self._store(made)
        for decision in made:
            if decision.decision == "Stop":
                self._stop(decision.trial)
        starts, _ = fill(self.study, self._ledger(), self._following)
        for start in starts:
            self.trials[start.action.trial] = start.after
            self.decisions += [start.decision] if start.decision else []
        trials = self.study.spec.budget.trials
        for trial in policy_of(self.study).freed(self._ledger(), trials, finishing=False):
            self._stop(trial.index)

    def _following(self, study: Study, ledger: Ledger) -> Start | None:
        """Promotions; the drain only when all trials that the budget allows have appeared."""
        trials = study.spec.budget.trials
        all_appeared = trials is not None and len(self.trials) >= trials
        return promoted(study, ledger) or (drained(study, ledger) if all_appeared else None)

    def _ledger(self) -> Ledger:
        return Ledger.of(self.study, self.trials.values())

    def _store(self, made: Iterable[Decide]) -> None:
        for decision in made:
            self.decisions.append(decision)
            self.trials[decision.trial] = decided(self.trials[decision.trial], decision)

    def _stop(self, index: int) -> None:
        trial = self.trials[index]
        spec = trial.spec.model_copy(update={"state": "Stopped"})
        self.trials[index] = trial.model_copy(update={"spec": spec})
        self._settle(index)


def _in_state(trial: Trial, state: TrialState) -> Trial:
    status = trial.status.model_copy(update={"state": state})
    return trial.model_copy(update={"status": status})


def _faults(snapshot: list[Line]) -> Iterator[Fault]:
    for line in snapshot:
        if line.failure is not None and line.failure != "Infrastructure":
            yield Fault(line.trial, line.failure)
