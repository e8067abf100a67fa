"""Replay: the decisions that a ledger of recorded reports leads to.

The smallest shell: its world is a list of lines. Lines of equal time are one snapshot: records are
observed and decided, then promotions are made, then `created` lines take places. A trial holds a
place from its first line or its promotion until its record at `until`, its Stop or its failure.
A ledger that a run has written also says when a trial whose record is in had really `left`, so
that it replays to that run's own decisions. One that was made from stored Trials (`recorded`) says
instead how many were `promoted` when, and places are not counted. Creating trials and finishing is
not replayed, and of the budget only the number of trials counts: costs are not in the lines.

It calls the same `observe` and `plan` as every other shell and decides nothing.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from scaletune.api.action import Decide
from scaletune.api.configuration import Checkpoint, Exploit, ParameterValue
from scaletune.api.model import Int, Metadata, Model, Number
from scaletune.api.study import Budget, Study, StudyStatus
from scaletune.api.trial import TERMINAL, Trial, TrialSpec, TrialState
from scaletune.api.trial_name import CONFIRMING_FROM, repeat_of, trial_name
from scaletune.core.endings import ending
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import highest_milestone
from scaletune.core.observe import Fault, InvalidReports, Report, observe
from scaletune.core.plan import fill, judge
from scaletune.core.policies.policy import policy_of
from scaletune.core.samplers.sampler import configurations_at_most
from scaletune.core.starts import Start, decided, drained, promoted

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
CHECKPOINT = "replayed"
LineFailure = Literal["Diverged", "OutOfMemory", "UserError", "RetriesExhausted", "Infrastructure"]


class Line(Model):
    """One line of a ledger: a report, or `created`, `failure`, `left` or `promoted`."""

    at: Number
    """at is when it was seen, in seconds."""
    trial: Annotated[Int, Field(ge=0)]
    """trial is the trial's index."""
    step: Annotated[Int, Field(ge=0)] | None = None
    """step of the report."""
    value: Number | Literal["NaN", "Infinity", "-Infinity"] | None = None
    """value of the report."""
    created: Literal[True] | None = None
    """created says that the trial took a place."""
    begins: Annotated[Int, Field(ge=0)] | None = None
    """begins is the milestone of another trial's checkpoint, from which a new trial goes on."""
    until: Annotated[Int, Field(ge=1)] | None = None
    """until is how long the new trial trains, where a parameter of it says so."""
    failure: LineFailure | None = None
    """failure of the trial."""
    left: Literal[True] | None = None
    """left says that the trial has given its place back."""
    leaving: Literal[True] | None = None
    """leaving says that the trial holds its place on until its `left` line."""
    promoted: bool | None = None
    """promoted says that a trial went on from its rung. A ledger that says so of any, or that none
    was, says it of all: so many are promoted then, and not as many as there are places."""

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
    kinds = [line.created, line.failure, line.left, line.value, line.promoted or None]
    if sum(kind is not None for kind in kinds) != 1:
        raise InvalidLedger(
            f"line {number}: give one of value, created, failure, left and promoted"
        )
    if line.value is not None and line.step is None:
        raise InvalidLedger(f"line {number}: a value needs a step")


def replay(study: Study, lines: Iterable[Line]) -> list[Decide]:
    """All decisions, in the order of their numbers, promotions after records.

    Raises InvalidLedger on times that run backwards, and on contradicting reports.
    """
    lines = list(lines)
    world = World(study, counts_places=all(line.promoted is None for line in lines))
    earlier = -math.inf
    for at, snapshot in groupby(lines, key=lambda line: line.at):
        if at < earlier:
            raise InvalidLedger(f"at {at}: lines must be in the order of their times")
        earlier = at
        try:
            world.take(list(snapshot))
        except InvalidReports as error:
            raise InvalidLedger(f"at {at}: {error}") from None
    return sorted(world.decisions, key=lambda made: (made.number, made.is_later))


class World:
    """The trials of a replay, as a shell would have them stored."""

    def __init__(self, study: Study, *, counts_places: bool = True) -> None:
        budget = Budget(trials=study.spec.budget.trials)
        update = {"budget": budget, "state": "Running"}
        self.counts_places, self.promotions = counts_places, 0
        """Otherwise so many promotions are made as the lines of a snapshot say."""
        status = StudyStatus(prior=study.status.prior)
        spec = study.spec.model_copy(update=update)
        self.study = Study(metadata=study.metadata, spec=spec, status=status)
        self.ledger = Ledger.of(self.study, ())
        self.most = configurations_at_most(study)
        self.leaving: set[int] = set()
        self.decisions: list[Decide] = []

    def take(self, snapshot: list[Line]) -> None:
        """One snapshot of lines."""
        self.promotions = sum(line.promoted is True for line in snapshot)
        for line in snapshot:
            if not line.created:
                self._add(line)
        self.leaving |= {line.trial for line in snapshot if line.leaving}
        self.leaving -= {line.trial for line in snapshot if line.left}
        reports = [
            Report(line.trial, line.step or 0, line.number)
            for line in snapshot
            if line.value is not None
        ]
        touched = {line.trial for line in snapshot if not line.created}
        self._observe(touched, reports, list(_faults(snapshot)))
        while promoted := self._plan():  # the last report of a promoted trial may serve again
            if not self._observe(promoted, [], []):
                break
        for line in snapshot:
            if line.created:
                self._add(line)

    def _add(self, line: Line) -> None:
        """A trial takes a place when it is first heard of."""
        index, begins = line.trial, line.begins if line.created else None
        if self._get(index) is not None:
            return
        name = trial_name(self.study.metadata.name, index)
        frame, study = self.ledger.frame, self.study.metadata.name
        if (repeat := repeat_of(index)) is not None:
            role = "Control" if repeat.candidate is None else "Confirm"
            again = {"role": role, "candidate": repeat.candidate, "repeat": repeat.number}
            spec = TrialSpec(study=study, index=index, until=frame.most).model_copy(update=again)
            spec = spec.model_copy(update=self._length(spec, line))
        else:
            bracket = frame.brackets.of(index)
            until = frame.first(bracket) if begins is None else frame.above(begins)
            spec = TrialSpec(study=study, index=index, bracket=bracket, until=until)
            spec = spec.model_copy(update=self._length(spec, line))
        if begins is not None:
            parent = Checkpoint(incarnation=CHECKPOINT, step=begins)
            spec = spec.model_copy(update={"parent": parent})
        self._put(_in_state(Trial(metadata=Metadata(name=name), spec=spec), "Running"))

    def _length(self, spec: TrialSpec, line: Line) -> dict[str, object]:
        """How long a trial is where a parameter says so: all that a ledger knows of its values."""
        name, until = self.ledger.frame.horizon, line.until
        if name is None:
            return {}
        if spec.role == "Confirm" and spec.candidate is not None:
            until = self.ledger.trial(spec.candidate).spec.until
        elif spec.role == "Control":
            center = (p.space.center for p in self.study.spec.parameters if p.name == name)
            until = int(next(center) or 0)
        if not until:
            raise InvalidLedger(
                f"at {line.at}: spec.training.max names {name}, so a `created` line must come first"
                f" for trial {line.trial}, with its {name} as `until`"
            )
        return {"until": until, "parameters": (ParameterValue(name=name, int_=until),)}

    def _get(self, index: int) -> Trial | None:
        found: Trial | None = self.ledger.shelf("trials").get((index,))
        return found

    def _put(self, trial: Trial) -> None:
        self.ledger = self.ledger.replace(self._get(trial.index), trial)

    def _observe(self, touched: set[int], reports: list[Report], faults: list[Fault]) -> bool:
        """Store new records, and let the touched trials give back what they no longer hold."""
        trials = [self.ledger.trial(index) for index in touched]
        changed = observe(self.study, trials, reports, faults, self.ledger)
        for trial in changed:
            self._put(_with_checkpoints(trial) if self.ledger.frame.population else trial)
        for index in touched:
            self._settle(index)
        return bool(changed)

    def _settle(self, index: int) -> None:
        """Give a place back, as the processes of the trial would have by ending."""
        trial, frame = self.ledger.trial(index), self.ledger.frame
        if frame.state(trial) in TERMINAL or index in self.leaving:
            return
        if trial.status.failure is not None:
            self._put(_in_state(trial, "Failed"))
        elif trial.spec.state == "Stopped":
            self._put(_in_state(trial, "Stopped"))
        elif highest_milestone(trial) >= frame.until(trial):
            done = highest_milestone(trial) == frame.full(trial)
            self._put(_in_state(trial, "Completed" if done else "Paused"))
        elif frame.state(trial) == "Paused":
            self._put(_in_state(trial, "Running"))

    def _plan(self) -> set[int]:
        """What a shell would do at once: store decisions, stop, promote, free."""
        made, _ = judge(self.study, self.ledger)
        for decision in made:
            self.decisions.append(decision)
            self._put(decided(self.ledger.trial(decision.trial), decision))
            if decision.decision == "Stop":
                self._stop(decision.trial)
            if decision.exploit is not None:
                self._exploit(decision.trial, decision.exploit)
        if ending(self.study, self.ledger) is not None:
            return set()
        starts = self._starts()
        for start in starts:
            self._put(start.after)
            self.decisions += [start.decision] if start.decision else []
            self._settle(start.action.trial)
        trials = self.study.spec.budget.trials
        freed = policy_of(self.study, self.ledger.frame).freed(self.ledger, trials, finishing=False)
        for trial in list(freed):
            self._stop(trial.index)
        return {start.action.trial for start in starts}

    def _starts(self) -> list[Start]:
        """Who is promoted: as many as there are places for, or as were promoted then."""
        if not self.counts_places and not self.promotions:
            return []
        if self.counts_places:
            return fill(self.study, self.ledger, self._following)[0]
        spec = self.study.spec.model_copy(update={"parallelism": len(self.ledger.shelf("trials"))})
        roomy = self.study.model_copy(update={"spec": spec})
        starts = fill(roomy, self.ledger, self._following)[0][: self.promotions]
        self.promotions -= len(starts)
        return starts

    def _following(self, study: Study, ledger: Ledger) -> Start | None:
        """Promotions; the drain only when all trials that there will be have appeared."""
        searched = ledger.shelf("trials").rank((CONFIRMING_FROM,))
        all_appeared = self.most is not None and searched >= self.most
        return promoted(study, ledger) or (drained(study, ledger) if all_appeared else None)

    def _exploit(self, index: int, taken: Exploit) -> None:
        trial = self.ledger.trial(index)
        spec = trial.spec.model_copy(update={"exploit": taken})
        self._put(trial.model_copy(update={"spec": spec}))

    def _stop(self, index: int) -> None:
        trial = self.ledger.trial(index)
        spec = trial.spec.model_copy(update={"state": "Stopped"})
        self._put(trial.model_copy(update={"spec": spec}))
        self._settle(index)


def _in_state(trial: Trial, state: TrialState) -> Trial:
    status = trial.status.model_copy(update={"state": state})
    return trial.model_copy(update={"status": status})


def _with_checkpoints(trial: Trial) -> Trial:
    """The trial as if it had a checkpoint at each milestone: a ledger does not say so."""
    records = tuple(
        record
        if record.value is None
        else record.model_copy(
            update={"checkpoint": Checkpoint(incarnation=CHECKPOINT, step=record.at)}
        )
        for record in trial.status.milestones
    )
    return trial.model_copy(
        update={"status": trial.status.model_copy(update={"milestones": records})}
    )


def _faults(snapshot: list[Line]) -> Iterator[Fault]:
    for line in snapshot:
        if line.failure is not None and line.failure != "Infrastructure":
            yield Fault(line.trial, line.failure)
