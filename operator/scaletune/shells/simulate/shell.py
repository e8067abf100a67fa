"""The loop around the plan, in virtual time: what is heard is stored, planned on and carried out.

    hear -> observe -> store -> plan -> store decisions, then intents -> start, direct

The books are kept by `core.attempts`, as in every shell, and Trials are what a shell stores. One
Ledger is carried from turn to turn, through the plan. Reports come at the milestones exactly, so
that none ever serves a later one.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scaletune.api.action import Create, Decide, Finish, LookAgain, Pause, Resume, Stop
from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.model import Metadata
from scaletune.api.study import BestTrial, Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.core import attempts, failures
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import is_outdated, resumes_from
from scaletune.core.observe import Fault, Report, observe
from scaletune.core.plan import carried_along
from scaletune.core.reports import reports_of
from scaletune.core.schedule import leg
from scaletune.core.starts import renewed
from scaletune.core.summarise import summarise, timestamp
from scaletune.shells.recorded import created_line
from scaletune.shells.simulate.world import News, Order, World
from scaletune_trainer.wire import State, number_to_json

Line = dict[str, Any]


@dataclass(frozen=True)
class Better:
    """From when on which trial was the best."""

    at: float
    device_seconds: float
    best: BestTrial


class Shell:
    """One study's Trials as they are stored, and the loop that keeps them."""

    def __init__(self, study: Study, world: World) -> None:
        self.study, self.world, self.frame = study, world, Frame.of(study)
        self.trials: dict[int, Trial] = {}
        self._ledger = Ledger.of(study, ())
        self.lines: list[Line] = []
        self.decisions: list[Decide] = []
        self.curve: list[Better] = []
        self.plan_seconds: list[float] = []
        self.look_at: float | None = None
        """When time alone changes the plan."""
        self.created_at = 0.0
        """When the last trial was created, and the node seconds used by then."""
        self.busy_seconds_at_creation = 0.0
        self._changed: set[int] = set()
        self._waiting: set[int] = set()
        self._line_at = -math.inf

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return is_true(self.study.status.conditions, FINISHED)

    @property
    def ledger(self) -> Ledger:
        """That of the stored Trials. What has changed is carried over when it is asked for, so that
        it is done once for a Trial that has changed twice since."""
        for index in sorted(self._changed):
            known = self._ledger.shelf("trials").get((index,))
            self._ledger = self._ledger.replace(known, self.trials[index])
        self._changed.clear()
        return self._ledger

    def turn(self, news: Sequence[News], *, look: bool = False) -> None:
        """One turn; with `look` even when nothing is heard."""
        if news or look:
            self._tick()
            self._take_in(news)
            known = len(self.decisions)
            intended = touched = self._plan()
            while self._settle(touched):
                self._tick()
                touched = self._plan()
                intended = intended | touched
            if self._has_to_say(decided=len(self.decisions) > known):
                self._summarise()
            for index in sorted(intended):
                trial = self.trials[index]
                state = State(trial.spec.state)
                if state is State.RUNNING and is_outdated(trial):
                    state = State.PAUSED
                self.world.direct(index, self.frame.until(trial), state)
        self._start()
        self.world.go_on()

    # ---- hear and store

    def _put(self, trial: Trial) -> None:
        self.trials[trial.index] = trial
        self._changed.add(trial.index)

    def _take_in(self, news: Sequence[News]) -> None:
        """What is heard becomes records and states."""
        before: dict[int, Trial] = {}
        after: dict[int, Trial] = {}
        reports: list[Report] = []
        ends: dict[int, failures.Verdict] = {}
        for each in news:
            index = each.trial
            before.setdefault(index, self.trials[index])
            trial = attempts.charged(after.get(index, self.trials[index]), each.device_seconds)
            reports += reports_of(trial, each.telemetry)
            trial = after[index] = attempts.heard(trial, each.telemetry)
            if each.end is not None:
                retries = self.study.spec.template.retries
                ends[index] = failures.verdict(trial, each.end, retries)
        found = (attempts.fault_of(after[index], made) for index, made in ends.items())
        faults = [fault for fault in found if fault is not None]
        for trial in observe(self.study, after.values(), reports, faults, self._ledger):
            after[trial.index] = trial
        for index, made in ends.items():
            after[index] = attempts.at_rest(self.frame, attempts.ended(after[index], made))
            self._waiting.add(index)  # it may have more to do
        for trial in after.values():
            self._put(trial)
        self._write_down(before, after, reports, faults)

    def _settle(self, touched: Iterable[int]) -> bool:
        """What follows from new intents for trials without a trainer; whether a place is free."""
        freed = False
        for index in sorted(touched):
            trial = self.trials[index]
            if attempts.is_open(trial):
                continue
            settled = attempts.at_rest(self.frame, trial)
            if settled is not trial:
                self._put(settled)
                self._write_down({index: trial}, {index: settled})
                freed = freed or self.frame.holds_place(trial)
        return freed

    # ---- plan, and carry out

    def _plan(self) -> set[int]:
        """Plan and store; the trials whose intent has changed."""
        ledger = self.ledger
        began = time.perf_counter()
        made, self._ledger = carried_along(self.study, ledger, self.world.now)
        self.plan_seconds.append(time.perf_counter() - began)
        for decision in made.decisions:
            self.trials[decision.trial] = self._ledger.trial(decision.trial)
        self.decisions += made.decisions
        touched = {index for action in made.actions if (index := self._intend(action)) is not None}
        self._waiting |= touched
        again = next((each for each in made.actions if isinstance(each, LookAgain)), None)
        self.look_at = None if again is None else again.at
        self._start()  # before the Ledger is carried over, so that it is once for each Trial
        if finish := next((each for each in made.actions if isinstance(each, Finish)), None):
            self._summarise(finish)
        return touched

    def _intend(self, action: object) -> int | None:
        """Store an intent; the trial's index."""
        if isinstance(action, Create):
            self._create(action)
            return action.trial
        if not isinstance(action, Resume | Pause | Stop):
            return None
        self._put(renewed(self.trials[action.trial], action))
        return action.trial

    def _create(self, action: Create) -> None:
        study, at = self.study.metadata, timestamp(self.world.now)
        name = trial_name(study.name, action.trial)
        metadata = Metadata(
            name=name,
            namespace=study.namespace,
            uid=name,
            generation=1,
            creation_timestamp=at,
            labels={"scaletune.dev/study": study.name},
        )
        self._put(Trial(metadata=metadata, spec=action.spec))
        self._say([created_line(action.spec, lengths=self.frame.horizon is not None)])
        self.created_at = self.world.now
        self.busy_seconds_at_creation = self.world.busy_seconds

    def _has_to_say(self, *, decided: bool) -> bool:
        """Whether a status would tell more than the Trials do; nobody reads it but at the end."""
        status, confirm = self.study.status, self.study.spec.confirm
        if status.started_at is None or confirm or self.frame.population or self.finished:
            return True
        if not decided:
            return False
        best, found = status.best, self._ledger.best()
        known = None if best is None else (best.index, best.milestone, best.value)
        return known != (found and (found[0].index, found[1].at, found[1].value))

    def _summarise(self, finish: Finish | None = None) -> None:
        status = summarise(self.study, self.ledger, self.world.now, finish)
        if status.best is not None and status.best != self.study.status.best:
            seconds = self.world.busy_seconds * self.world.site.devices
            self.curve.append(Better(self.world.now, seconds, status.best))
        self.study = self.study.model_copy(update={"status": status})

    def _start(self) -> None:
        """Start what is meant to run, as far as there are nodes."""
        for index in sorted(self._waiting):
            trial = self.trials[index]
            if attempts.is_open(trial) or not attempts.should_run(self.frame, trial):
                self._waiting.discard(index)
            elif not self.world.has_free_node:
                return
            else:
                self._waiting.discard(index)
                self._begin(trial)

    def _begin(self, trial: Trial) -> None:
        incarnation = f"{trial.metadata.name}.{attempts.next_number(trial)}"
        checkpoint, part = resumes_from(trial), leg(trial)
        levels = self.frame.levels_of(trial)
        confirm = self.study.spec.confirm
        order = Order(
            trial=trial.index,
            name=trial.metadata.name,
            incarnation=incarnation,
            parameters=part.used,
            seed=trial.spec.seed,
            step=0 if checkpoint is None else checkpoint.step,
            until=self.frame.until(trial),
            levels=tuple(sorted({*levels, part.changes_at or levels[-1]})),
            changes_at=part.changes_at,
            metric=confirm.metric if confirm and trial.spec.role != "Search" else None,
            source=None if checkpoint is None else checkpoint.trial,
            keep=self.frame.population > 0,
            costs=bool(self.frame.cost_metric) and trial.spec.role == "Search",
        )
        begun = attempts.begun(trial, incarnation, "", timestamp(self.world.now))
        self._put(attempts.started(begun))
        self.world.start(order)

    # ---- the ledger of the run, as `scaletune replay` reads it

    def _tick(self) -> None:
        """Lines of one turn have one time, and each turn a later one."""
        self._line_at = max(self.world.now, math.nextafter(self._line_at, math.inf))

    def _say(self, lines: Iterable[Line]) -> None:
        self.lines += ({"at": self._line_at, **line} for line in lines)

    def _write_down(
        self,
        before: dict[int, Trial],
        after: dict[int, Trial],
        reports: Sequence[Report] = (),
        faults: Sequence[Fault] = (),
    ) -> None:
        self._say(_heard(reports, faults))
        for index, trial in after.items():
            held = self.frame.holds_place(before[index])
            if held and not self.frame.holds_place(trial):
                self._say([{"trial": index, "left": True}])


def _heard(reports: Sequence[Report], faults: Sequence[Fault]) -> Iterator[Line]:
    """Every report and failure is `leaving`: the place is given back by a line of its own."""
    for report in sorted(reports, key=lambda each: (each.trial, each.step)):
        value = number_to_json(report.value)
        yield {"trial": report.trial, "step": report.step, "value": value, "leaving": True}
    for fault in faults:
        if fault.kind != "Diverged":  # its report says so
            yield {"trial": fault.trial, "failure": fault.kind, "leaving": True}
