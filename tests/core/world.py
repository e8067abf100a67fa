"""A world to plan in: trainers that report after random times, and a shell that stores each write.

Everything a trainer says is a function of (seed, trial, step), so a world that crashed and went on
can be compared with one that did not. When they reach their `until` or are told to, trainers leave
at once or, with `linger`, a while later. The shell is the loop of docs/architecture.md in its
shortest form; every write is counted, and may be the last one before a crash.
"""

import heapq
import math
import random
from collections.abc import Iterable
from typing import Any

from scaletune.api.action import Create, Finish, Pause, Plan, Resume, Stop
from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.model import Metadata
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial, trial_name
from scaletune.core.attempts import at_rest, should_run
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import Event, after
from scaletune.core.observe import Fault, Report, observe
from scaletune.core.plan import plan
from scaletune.core.starts import decided
from scaletune.core.summarise import summarise
from tests.core.given import changed, intended

START = 1_700_000_000.0


class Crash(Exception):
    """The shell dies here."""


class World:
    """One study's Trials as stored, its trainers, its clock, and the ledger of what was seen."""

    def __init__(self, study: Study, seed: int, overshoot: int = 0, linger: float = 0.0) -> None:
        self.study, self.seed, self.overshoot, self.linger = study, seed, overshoot, linger
        self.frame = Frame.of(study)
        self.trials: dict[int, Trial] = {}
        self.lines: list[dict[str, Any]] = []
        self.said: dict[int, list[Report]] = {}  # sticky: every look sees all of it again
        self.faults: list[Fault] = []
        self.due: list[tuple[float, int]] = []
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
        return max((report.step for report in self.said.get(index, ())), default=0)

    def start(self, index: int) -> None:
        speed = self.random(index, "speed").uniform(0.5, 2)
        gap = self._next_step(index) - self.position(index)
        heapq.heappush(self.due, (self.at + speed * gap, index))
        self.running.add(index)

    def _next_step(self, index: int) -> int:
        now = self.position(index)
        levels = [level for level in self.frame.levels_of(self.trials[index]) if level > now]
        beyond = self.random(index, f"beyond {now}").randint(0, self.overshoot)
        return (levels[0] if levels else now + 1) + beyond

    def advance(self) -> bool:
        """The next thing that a trainer does; False when none runs."""
        while self.due:
            self.at, index = heapq.heappop(self.due)
            if index in self.leaving:
                self.leave(index)
                return True
            if index in self.running:
                self._speak(index)
                return True
        return False

    def _speak(self, index: int) -> None:
        step = self._next_step(index)
        luck = self.random(index, f"luck {step}").random()
        if luck < 0.04:
            kind: Any = "UserError" if luck < 0.02 else "OutOfMemory"
            self.faults.append(Fault(index, kind))
            self._tell(index, failure=kind)
            self.ask_to_leave(index)
            return
        value = self.random(index, "quality").choice([0.1, 0.2, 0.3, 0.5, 0.8])
        value += self.random(index, f"noise {step}").choice([0.0, 0.0, 0.1, 0.3])
        value = math.nan if luck > 0.97 else value
        self.said.setdefault(index, []).append(Report(index, step, value))
        self._tell(index, step=step, value="NaN" if math.isnan(value) else value)
        if math.isnan(value) or step >= self.frame.until(self.trials[index]):
            self.ask_to_leave(index)
        else:
            self.start(index)

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
            heapq.heappush(self.due, (self.at + wait, index))

    def leave(self, index: int) -> None:
        """It is gone, unless it has been promoted in time."""
        self.leaving.discard(index)
        trial = self.trials[index]
        well = trial.status.failure is None and should_run(self.frame, trial)
        if well and self.position(index) < self.frame.until(trial):
            self.start(index)
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
        heard = [report for said in self.said.values() for report in said]
        new = {t.index: t for t in observe(self.study, self.trials.values(), heard, self.faults)}
        for index in sorted(self.trials):
            self.put(self._settled(new.get(index, self.trials[index])))

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
            elif isinstance(action, Resume):
                self.put(intended(self.trials[action.trial], until=action.until, state="Running"))
            elif isinstance(action, Pause | Stop):
                state = "Paused" if isinstance(action, Pause) else "Stopped"
                self.put(intended(self.trials[action.trial], state=state))
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
            if not should_run(self.frame, trial) and index in self.running:
                self.ask_to_leave(index)
            elif not should_run(self.frame, trial):
                continue
            elif index not in self.running and not served:
                self.start(index)
                self.put(
                    changed(
                        trial,
                        state=after("Running", trial.status.state or "Pending", Event.STARTED),
                    )
                )

    def run(self, turns_max: int = 2000) -> None:
        """Until nothing more happens. Raises AssertionError when that takes for ever."""
        for _ in range(turns_max):
            self.turn()
            if not self.advance():
                return
        raise AssertionError("the study does not come to its end")


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
