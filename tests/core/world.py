"""A world to plan in: trainers that report after random times, and a shell that stores each write.

Everything a trainer says is a function of (seed, trial, step), so a world that crashed and went on
can be compared with one that did not. When they reach their `until` or are told to, trainers leave
at once or, with `linger`, a while later. The shell is the loop of docs/architecture.md in its
shortest form; every write is counted, and may be the last one before a crash.

What a checkpoint holds is what its weights were trained with, piece by piece; there is one at each
milestone that was passed and at each report, until the shell deletes it. Whoever goes on from one
that is not there has made a mistake.
"""

import heapq
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scaletune.api.action import Create, Finish, Pause, Plan, Resume, Stop
from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.configuration import Checkpoint
from scaletune.api.model import Metadata
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.api.trial_name import trial_name
from scaletune.core.attempts import at_rest, begun, heard, lent, next_number, should_run, started
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import Event, after, is_outdated, resumes_from
from scaletune.core.observe import Fault, Report, observe
from scaletune.core.plan import plan
from scaletune.core.reports import Telemetry
from scaletune.core.schedule import leg
from scaletune.core.starts import decided, intended
from scaletune.core.summarise import summarise, timestamp
from tests.core.given import changed

START = 1_700_000_000.0
Past = tuple[tuple[int, int, tuple[tuple[str, Any], ...]], ...]  # (start, until, values) each


class Crash(Exception):
    """The shell dies here."""


@dataclass
class Life:
    """A trainer: one attempt of a trial."""

    attempt: int
    values: tuple[tuple[str, Any], ...]
    taken: str  # what its values were explored at, if it is not its first ones
    place: Checkpoint | None
    step: int
    changes_at: int | None  # where it leaves, and the next one goes on with other values
    before: Past | None = None  # read only when it trains, some time after its start

    @property
    def began(self) -> int:
        """Where it goes on."""
        return 0 if self.place is None else self.place.step


class World:
    """One study's Trials as stored, its trainers, its clock, and the ledger of what was seen."""

    def __init__(self, study: Study, seed: int, overshoot: int = 0, linger: float = 0.0) -> None:
        self.study, self.seed, self.overshoot, self.linger = study, seed, overshoot, linger
        self.frame = Frame.of(study)
        self.trials: dict[int, Trial] = {}
        self.lines: list[dict[str, Any]] = []
        self.said: dict[int, list[Report]] = {}  # sticky: every look sees all of it again
        self.faults: list[tuple[int, Fault]] = []  # each with its attempt
        self.lives: dict[int, Life] = {}  # the latest of each trial
        self.checkpoints: dict[tuple[str, int], Past] = {}
        self.due: list[tuple[float, int, int]] = []
        self.running: set[int] = set()
        self.leaving: set[int] = set()
        self.at = START
        self.writes_left = math.inf

    @property
    def finished(self) -> bool:
        """Whether the Study says so."""
        return is_true(self.study.status.conditions, FINISHED)

    # ---- the world

    def random(self, index: int, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}/{index}/{purpose}")

    def position(self, index: int) -> int:
        """How far the trial has trained, or where it goes on."""
        if index in self.running:
            return self.lives[index].step
        place = resumes_from(self.trials[index])
        return 0 if place is None else place.step

    def start(self, index: int) -> None:
        """The latest attempt, which is stored, begins where its checkpoint is."""
        trial = self.trials[index]
        attempt, exploit = trial.status.attempts[-1], trial.spec.exploit
        place, taken = attempt.restored, "" if exploit is None else f" since {exploit.at}"
        part, step = leg(trial), 0 if place is None else place.step
        values = tuple(part.used.items())
        self.lives[index] = Life(attempt.number, values, taken, place, step, part.changes_at)
        self.running.add(index)
        self._go_on(index)

    def _go_on(self, index: int) -> None:
        speed = self.random(index, "speed").uniform(0.5, 2)
        gap = self._next_step(index) - self.position(index)
        self._wait(index, speed * gap)

    def _wait(self, index: int, seconds: float) -> None:
        heapq.heappush(self.due, (self.at + seconds, index, self.lives[index].attempt))

    def _next_step(self, index: int) -> int:
        now = self.position(index)
        levels = [level for level in self.frame.levels_of(self.trials[index]) if level > now]
        beyond = self.random(index, f"beyond {now}").randint(0, self.overshoot)
        step = (levels[0] if levels else now + 1) + beyond
        return min(step, self.lives[index].changes_at or step)

    def advance(self) -> bool:
        """The next thing that a trainer does; False when none runs."""
        while self.due:
            self.at, index, attempt = heapq.heappop(self.due)
            if attempt != self.lives[index].attempt:
                continue
            if index in self.leaving:
                self.leave(index)
                return True
            if index in self.running:
                self._speak(index)
                return True
        return False

    def _speak(self, index: int) -> None:
        step, life = self._next_step(index), self.lives[index]
        luck = self.random(index, f"luck {step}{life.taken}").random()
        if luck < 0.04:
            kind: Any = "UserError" if luck < 0.02 else "OutOfMemory"
            self.faults.append((life.attempt, Fault(index, kind)))
            self._tell(index, failure=kind)
            self.ask_to_leave(index)
            return
        value = self.random(index, "quality").choice([0.1, 0.2, 0.3, 0.5, 0.8])
        value += self.random(index, f"noise {step}{life.taken}").choice([0.0, 0.0, 0.1, 0.3])
        value = math.nan if luck > 0.97 else value
        self.said.setdefault(index, []).append(Report(index, step, value, attempt=life.attempt))
        self._tell(index, step=step, value="NaN" if math.isnan(value) else value)
        self._train(index, step)
        until = min(life.changes_at or math.inf, self.frame.until(self.trials[index]))
        if math.isnan(value) or step >= until:
            self.ask_to_leave(index)
        else:
            self._go_on(index)

    def _train(self, index: int, upto: int) -> None:
        """On to a step, with a checkpoint at each milestone that is passed, and there."""
        life, place = self.lives[index], self.lives[index].place
        if life.before is None:
            life.before = () if place is None else self.checkpoints[place.incarnation, place.step]
        levels = self.frame.levels_of(self.trials[index])
        for step in (*(level for level in levels if life.step < level < upto), upto):
            life.step = step
            past = (*life.before, (life.began, step, life.values))
            self.checkpoints[_incarnation(index, life.attempt), step] = past

    def _tell(self, index: int, **said: Any) -> None:
        if self.linger:
            said["leaving"] = True
        self.lines.append({"at": self.at, "trial": index, **said})

    def ask_to_leave(self, index: int) -> None:
        """The trainer goes, at once or a while later."""
        if not self.linger:
            self.running.discard(index)
        elif index not in self.leaving:
            self.leaving.add(index)
            wait = self.random(index, f"leaving {self.position(index)}").uniform(0, self.linger)
            self._wait(index, wait)

    def leave(self, index: int) -> None:
        """It is gone, unless it has been promoted in time."""
        self.leaving.discard(index)
        trial = self.trials[index]
        well = trial.status.failure is None and should_run(self.frame, trial)
        well = well and not is_outdated(trial)
        well = well and self.position(index) != self.lives[index].changes_at
        if well and self.position(index) < self.frame.until(trial):
            self._go_on(index)
            return
        self.running.discard(index)
        self.lines.append({"at": self.at, "trial": index, "left": True})

    def lose(self, index: int) -> None:
        """A node is gone, and a trainer with it; what it had said is known."""
        self.running.discard(index)
        self.leaving.discard(index)
        self._observe()
        trial = self.trials[index]
        state = after(trial.spec.state, trial.status.state or "Pending", Event.LOST)
        self.trials[index] = changed(trial, state=state)

    # ---- the shell

    def put(self, trial: Trial) -> None:
        """Store a Trial."""
        if self.trials.get(trial.index) != trial:
            self._write()
            self.trials[trial.index] = trial

    def _write(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Crash

    def turn(self) -> Plan:
        """Look, observe, plan, store, act, until nothing is left to do at this instant."""
        while True:
            before = dict(self.trials), self.study.status
            self._observe()
            made = plan(self.study, self.trials.values(), self.at)
            self._store(made)
            self._act()
            if (dict(self.trials), self.study.status) == before:
                return made

    def _observe(self) -> None:
        told = [each for said in self.said.values() for each in said if self._counts(each)]
        faults = [
            fault
            for attempt, fault in self.faults
            if self._counts(Report(fault.trial, 0, 0.0, attempt=attempt))
        ]
        trials = {index: self._heard(trial) for index, trial in self.trials.items()}
        new = {t.index: t for t in observe(self.study, trials.values(), told, faults)}
        for index in sorted(trials):
            self.put(self._settled(new.get(index, trials[index])))

    def _counts(self, report: Report) -> bool:
        """Whether it is not of an attempt that was given up."""
        exploits = self.trials[report.trial].status.exploits
        return not exploits or report.attempt > exploits[-1].attempt

    def _heard(self, trial: Trial) -> Trial:
        """The trial with the checkpoint that its latest attempt has written."""
        life, attempts = self.lives.get(trial.index), trial.status.attempts
        if life is None or life.attempt != attempts[-1].number or life.step == life.began:
            return trial
        incarnation = _incarnation(trial.index, life.attempt)
        return heard(trial, Telemetry(incarnation, life.step, checkpoint=life.step))

    def _settled(self, trial: Trial) -> Trial:
        """The trial with the state in which its processes are, or have left it."""
        state = trial.status.state or "Pending"
        if state in TERMINAL:
            return trial
        if trial.index in self.running:  # the shell may have died before it wrote that
            started = after(trial.spec.state, state, Event.STARTED)
            return trial if trial.status.state == started else changed(trial, state=started)
        if trial.status.failure is not None:
            return changed(trial, state=after(trial.spec.state, state, Event.FAILED))
        if state == "Running" and trial.spec.state != "Running":
            told = Event.PAUSED if trial.spec.state == "Paused" else Event.STOPPED
            return changed(trial, state=after(trial.spec.state, state, told))
        return at_rest(self.frame, trial)

    def _store(self, made: Plan) -> None:
        for decision in made.decisions:
            self.put(decided(self.trials[decision.trial], decision))
        for action in made.actions:
            if isinstance(action, Create):
                self.put(Trial(metadata=self._named(action.trial), spec=action.spec))
                self.lines.append({"at": self.at, "trial": action.trial, "created": True})
            elif isinstance(action, Resume | Pause | Stop):
                self.put(intended(self.trials[action.trial], action))
        finish = next((each for each in made.actions if isinstance(each, Finish)), None)
        ledger = Ledger.of(self.study, self.trials.values())
        status = summarise(self.study, ledger, self.at, finish)
        if status != self.study.status:
            self._write()
            self.study = self.study.model_copy(update={"status": status})

    def _named(self, index: int) -> Metadata:
        return Metadata(name=trial_name(self.study.metadata.name, index))

    def _act(self) -> None:
        for index, trial in sorted(self.trials.items()):
            served = self.position(index) >= self.frame.until(trial)
            if index in self.running:
                if not should_run(self.frame, trial) or is_outdated(trial):
                    self.ask_to_leave(index)
            elif should_run(self.frame, trial) and not served:
                incarnation = _incarnation(index, next_number(trial))
                self.put(begun(trial, incarnation, "", timestamp(self.at)))
                self.start(index)
                self.put(started(self.trials[index]))
            self._free(index)

    def _free(self, index: int) -> None:
        """Delete the checkpoints of the trial that nobody will go on from."""
        trial = self.trials[index]
        needed = {(each.incarnation, each.step) for each in lent(self.study, trial)}
        place = trial.status.checkpoint
        needed |= set() if place is None else {(place.incarnation, place.step)}
        known = [each.checkpoint for each in trial.status.milestones if each.checkpoint]
        for each in known:
            if (each.incarnation, each.step) not in needed:
                self.checkpoints.pop((each.incarnation, each.step), None)

    def run(self, turns_max: int = 2000) -> None:
        """Until nothing more happens. Raises AssertionError when that takes for ever."""
        for _ in range(turns_max):
            self.turn()
            if not self.advance():
                return
        raise AssertionError("the study does not come to its end")


def _incarnation(index: int, attempt: int) -> str:
    return f"life-{index}-{attempt}"


def wishes(world: World, **spec: Any) -> None:
    """The user changes the Study."""
    study = world.study
    metadata = study.metadata.model_copy(update={"generation": study.metadata.generation + 1})
    document = {**study.spec.model_dump(by_alias=True), **spec}
    changed_spec = type(study.spec).model_validate(document)
    world.study = study.model_copy(update={"spec": changed_spec, "metadata": metadata})


def every_decision(trials: Iterable[Trial]) -> list[tuple[Any, ...]]:
    """All stored decisions as (number, order, trial, milestone, word, evidence)."""
    found: list[tuple[Any, ...]] = []
    for trial in trials:
        for made in trial.status.milestones:
            evidence = made.evidence.model_dump() if made.evidence else {}
            found.append((made.number, 0, trial.index, made.at, made.decision, str(evidence)))
            if made.promotion:
                evidence = made.promotion.evidence.model_dump()
                promotion = (made.promotion.number, 1, trial.index, made.at, "Promote")
                found.append((*promotion, str(evidence)))
    return sorted(found, key=lambda each: each[:4])
