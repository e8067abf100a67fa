"""One turn of the loop, for the trials of one study on this machine.

    look -> observe -> store -> plan -> store decisions, then intents -> start, direct, end

Nothing is decided here. Each step stores before the next one begins, so that a run that is killed
between any two writes goes on from what is stored; `recover` finishes a turn that was cut short.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from scaletune.api.action import Action, Create, Finish, Pause, Plan, Resume, Stop
from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.model import Metadata
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.core import attempts, failures
from scaletune.core.discarded import discarded
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.plan import decide
from scaletune.core.reports import Telemetry
from scaletune.core.starts import decided, renewed
from scaletune.core.summarise import differs_beyond_cost, summarise, timestamp
from scaletune.shells.local import hearing, machine
from scaletune.shells.local.checkpoints import free
from scaletune.shells.local.folder import Folder, write_file
from scaletune.shells.local.intake import Intake, News, take_in, take_in_again
from scaletune.shells.local.ledger_file import LedgerFile
from scaletune.shells.local.processes import (
    Life,
    Order,
    directive_file,
    message_file,
    start,
)
from scaletune.shells.recorded import created_line
from scaletune_trainer import wire

SCRAPE_SECONDS = 1.0
PLAN_SECONDS = 1.0
STORE_SECONDS = 10.0  # the longest time for which spent device seconds are not on the disk
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.5, 60.0
TICK = 1e-6


@dataclass
class Shell:
    """The state of a run: what is stored, and the processes that live."""

    folder: Folder
    study: Study
    container: machine.Container
    trials: dict[int, Trial]
    ledger_file: LedgerFile
    lives: dict[int, Life] = field(default_factory=dict)
    heard: dict[int, Telemetry] = field(default_factory=dict)
    """What each trial said last; for people."""
    _not_before: dict[int, float] = field(default_factory=dict)
    _unstored: set[int] = field(default_factory=set)
    _unfreed: set[int] = field(default_factory=set)
    """Trials of which there is news, so that checkpoints may have become needless."""
    writes: int = 0
    """How many Trials were stored; as long as it stays, nothing has changed."""
    still_turns: int = 0
    """Turns in a row in which nothing lived and nothing changed."""
    _intended: bool = True
    _planned: float = 0.0
    _stored: float = 0.0
    _summed: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen unless the Study's spec changes."""
        return is_true(self.study.status.conditions, FINISHED)

    @property
    def idle(self) -> bool:
        """Whether no process lives, none is to be started, and every intent is carried out."""
        frame = Frame.of(self.study)
        waiting = any(attempts.should_run(frame, trial) for trial in self.trials.values())
        return not self.lives and not waiting and not self._intended

    def recover(self) -> None:
        """Finish the turn in which an earlier run was cut short."""
        ends = [self._gone(trial) for trial in self.trials.values() if attempts.is_open(trial)]
        intake = take_in_again(self.study, self.trials, self.ledger_file.last_turn, ends)
        self._store(intake)
        if self.ledger_file.at:
            self._plan(self.ledger_file.at)

    def turn(self, *, starting: bool = True) -> None:
        """One turn; without `starting`, processes only end."""
        at = max(time.time(), self.ledger_file.at + TICK)
        looked, news = self._look(), False
        if looked or self._intended:
            intake = take_in(self.study, self.trials, looked, self.lives)
            self.ledger_file.append(at, intake.lines)
            self._intended = False
            news = self._store(intake)
        if news or at - self._planned >= PLAN_SECONDS:
            self._plan(at)
            self._planned = at
        for index in sorted(self.lives):
            self._direct(index)
        if starting:
            self._start(at)
        self.still_turns = 0 if news or self.lives else self.still_turns + 1
        if at - self._stored >= STORE_SECONDS:
            self._write(sorted(self._unstored))
            self._stored = at

    def adopt(self, study: Study, container: machine.Container) -> None:
        """Follow another spec from the next turn on."""
        self.study, self.container = study, container
        self.folder.write_study(study)
        self._intended, self._planned = True, 0.0

    def ask_to_leave(self) -> None:
        """Let every trainer write a checkpoint and go; the intents stay."""
        for life in self.lives.values():
            life.ended_by_us = True
            life.ask_to_leave()

    def kill(self) -> None:
        """End every process at once."""
        for life in self.lives.values():
            life.ended_by_us = True
            life.kill()

    def _look(self) -> list[News]:
        """What is new in the world."""
        news = []
        for index, trial in self.trials.items():
            life = self.lives.get(index)
            if life is None:
                if attempts.is_open(trial):
                    news.append(self._gone(trial))
                continue
            code = life.exit_code()
            if code is not None:
                news.append(self._ended(trial, life, code))
                del self.lives[index]
            elif time.monotonic() - life.scraped >= SCRAPE_SECONDS:
                life.scraped = time.monotonic()
                telemetry = hearing.scrape(life.incarnation_folder)
                if telemetry is not None:
                    self.heard[index] = telemetry
                news.append(News(index, telemetry, life.device_seconds()))
        return news

    def _ended(self, trial: Trial, life: Life, code: int) -> News:
        telemetry, message = self._last_heard(trial, life.incarnation)
        end = failures.End(code, message, disrupted=life.ended_by_us and message is None)
        return News(trial.index, telemetry, life.device_seconds(), end)

    def _gone(self, trial: Trial) -> News:
        """An attempt of an earlier run: its processes have died with it."""
        attempt = trial.status.attempts[-1]
        telemetry, message = self._last_heard(trial, attempt.incarnation)
        reports = [*telemetry.milestones, *([telemetry.last] if telemetry.last else [])]
        known = [attempt.device_seconds, *(each.device_seconds for each in reports)]
        seconds = max(known) if message is None else max(*known, message.device_seconds)
        end = failures.End(None, message, disrupted=message is None)
        return News(trial.index, telemetry, seconds, end)

    def _last_heard(
        self, trial: Trial, incarnation: str
    ) -> tuple[Telemetry, wire.TerminationMessage | None]:
        number = trial.status.attempts[-1].number
        spec = attempts.trial_spec(self.study, trial)
        words = hearing.last_words(message_file(self.folder.attempt(trial, number)))
        return hearing.of_the_departed(
            incarnation,
            spec.incarnation_folder(self.folder.volume, incarnation),
            spec.metric,
            words,
        )

    def _store(self, intake: Intake) -> bool:
        """Store what was taken in; whether there was more than time that has passed."""
        before, self.trials = self.trials, intake.trials
        # In the order of the records' numbers, so that what is missing after a kill are the last.
        changed = sorted(intake.changed)
        news = [index for index in changed if _is_news(before[index], self.trials[index])]
        self._unstored |= set(intake.changed)
        self._write(news)
        for index in news:
            self._wait_after_crash(before[index], self.trials[index])
        self._unfreed |= set(news)
        return bool(news)

    def _free(self) -> None:
        """Free the disk of what the study as it stands now does not need."""
        given, unfreed = self.study.spec.checkpoints, self._unfreed - self.lives.keys()
        self._unfreed = set()
        if not unfreed or (given is not None and given.keep == "All"):
            return
        gone = {trial.index for trial in discarded(self.study, self.trials.values())}
        for index in sorted(unfreed):
            trial = self.trials[index]
            counts = None if index in gone else trial.status.checkpoint
            free(self.folder.files(self.study, trial), counts, attempts.lent(self.study, trial))

    def _write(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self.folder.write_trial(self.trials[index])
            self.writes += 1
            self._unstored.discard(index)

    def _wait_after_crash(self, before: Trial, trial: Trial) -> None:
        """Each crash in a row doubles the time before the next attempt."""
        if attempts.is_open(before) and not attempts.is_open(trial):
            doubled = RETRY_SECONDS * 2 ** max(0, trial.status.crashes - 1)
            wait = min(doubled, RETRY_SECONDS_MAX) if trial.status.crashes else 0.0
            self._not_before[trial.index] = time.monotonic() + wait

    def _plan(self, at: float) -> None:
        """Plan and store, until the reports that are known already serve nothing new."""
        while True:
            ledger = Ledger.of(self.study, self.trials.values())
            made = decide(self.study, ledger, at)
            self._store_plan(at, made)
            finish = next((each for each in made.actions if isinstance(each, Finish)), None)
            resumed = any(isinstance(each, Resume) for each in made.actions)
            again = resumed and self._store(take_in(self.study, self.trials, (), self.lives))
            if not again:
                break
        ledger = Ledger.of(self.study, self.trials.values())
        status = summarise(self.study, ledger, at, finish)
        before = self.study.status
        self.study = self.study.model_copy(update={"status": status})
        if status.all_reached != before.all_reached or finish is not None:
            self._unfreed |= self.trials.keys()
        self._free()
        if differs_beyond_cost(before, status) or at - self._summed >= STORE_SECONDS:
            self.folder.write_study(self.study)
            self._summed = at

    def _store_plan(self, at: float, made: Plan) -> None:
        """First the decisions, then what follows from them."""
        touched = []
        for decision in made.decisions:
            self.trials[decision.trial] = decided(self.trials[decision.trial], decision)
            touched.append(decision.trial)
        self._write(sorted(set(touched)))
        created = [each for each in made.actions if isinstance(each, Create)]
        lengths = self.study.spec.training.horizon is not None
        lines = (created_line(each.spec, lengths=lengths) for each in created)
        self.ledger_file.append(at, lines)
        for action in made.actions:
            self._intend(action, at)

    def _intend(self, action: Action, at: float) -> None:
        if isinstance(action, Create):
            start = Trial(metadata=self._metadata(action.trial, at), spec=action.spec)
            self.trials[action.trial] = start
        elif isinstance(action, Resume | Pause | Stop):
            trial = self.trials[action.trial]
            self.trials[action.trial] = renewed(trial, action)
        else:
            return
        self._write([action.trial])
        self._intended = True

    def _metadata(self, index: int, at: float) -> Metadata:
        study = self.study.metadata
        return Metadata(
            name=trial_name(study.name, index),
            namespace=study.namespace,
            uid=str(uuid.uuid4()),
            generation=1,
            creation_timestamp=timestamp(at),
            labels={"scaletune.dev/study": study.name},
        )

    def _start(self, at: float) -> None:
        """Start what is meant to run and does not, as far as there are places."""
        frame, now = Frame.of(self.study), time.monotonic()
        for index, trial in self.trials.items():
            if len(self.lives) >= self.study.spec.parallelism:
                return
            waits = now < self._not_before.get(index, 0.0)
            if index not in self.lives and not waits and attempts.should_run(frame, trial):
                self._begin(trial, at)

    def _begin(self, trial: Trial, at: float) -> None:
        """A new attempt: stored first, then started."""
        incarnation, template = str(uuid.uuid4()), self.study.spec.template
        trial = attempts.begun(trial, incarnation, _hash(template.pod), timestamp(at))
        self.trials[trial.index] = trial
        self._write([trial.index])
        spec = attempts.trial_spec(self.study, trial)
        folder = self.folder.attempt(trial, spec.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        directive = attempts.directive(self.study, trial)
        write_file(directive_file(folder), directive.to_json(), synced=False)
        order = Order(
            spec=spec,
            incarnation=incarnation,
            directive=directive,
            folder=folder,
            container=self.container,
            trials_at_once=self.study.spec.parallelism,
        )
        self.lives[trial.index] = start(order, self.folder, template.stall_seconds)
        self.trials[trial.index] = attempts.started(trial)
        self._write([trial.index])

    def _direct(self, index: int) -> None:
        """Tell a running trainer what is wanted. One that hears nothing is ended as stalled."""
        trial, life = self.trials[index], self.lives[index]
        directive = attempts.directive(self.study, trial).to_json()
        if directive != life.directive:
            write_file(directive_file(life.folder), directive, synced=False)
            life.directive = directive


def _is_news(before: Trial, trial: Trial) -> bool:
    """Whether more has changed than the device seconds and the acknowledged sequence."""
    passing = {"device_seconds": 0.0, "acknowledged": 0, "attempts": ()}
    old, new = (each.status.model_copy(update=passing) for each in (before, trial))
    return old != new or attempts.is_open(before) != attempts.is_open(trial)


def _hash(template: object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:12]
