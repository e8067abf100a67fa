"""Figures about a study, from its stored resources: rungs, the best, what was spent and saved."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import linear_regression, median

from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.confirmation import Confirmation
from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.core import budget, confirmation, confirmed, rungs
from scaletune.core.ledger import Ledger


@dataclass(frozen=True)
class Rung:
    """How many trials have come to a milestone, and how many have gone on from there."""

    level: int
    reached: int
    failed: int
    went_on: int
    best: float | None


@dataclass(frozen=True)
class Figures:
    """What can be said about a study at one moment."""

    study: Study
    ledger: Ledger

    @classmethod
    def of(cls, study: Study, trials: Mapping[int, Trial]) -> "Figures":
        """The figures of a snapshot."""
        return cls(study, Ledger.of(study, trials.values()))

    @property
    def trials(self) -> list[Trial]:
        """All trials in the order of their indexes."""
        return list(self.ledger.on("trials"))

    @property
    def searched(self) -> list[Trial]:
        """Those of the search, without trainings that confirm them."""
        return [trial for trial in self.trials if trial.spec.role == "Search"]

    @property
    def rungs(self) -> list[Rung]:
        """The milestones, from the first to the full training."""
        return [self._rung(level) for level in self.ledger.frame.levels]

    def _rung(self, level: int) -> Rung:
        keys = [key for key, _ in self.ledger.shelf(("rung", level)).entries()]
        finite = [key for key in keys if not key[0]]
        on = sum(_went_on(self.ledger.trial(key[-1]), level) for key in finite)
        best = self.ledger.frame.sign * finite[0][1] if finite else None
        return Rung(level, len(keys), len(keys) - len(finite), on, best)

    @property
    def best(self) -> tuple[Trial, Milestone] | None:
        """The best trial, and the record that says so."""
        return self.ledger.best()

    @property
    def confirmation(self) -> Confirmation | None:
        """What training the best again has shown so far."""
        finished = is_true(self.study.status.conditions, FINISHED)
        return confirmed.confirmation(self.study, self.ledger, finished=finished)

    @property
    def spent_seconds(self) -> float:
        """Device seconds of all trials."""
        return budget.spent_seconds(self.study, self.ledger)

    @property
    def search_seconds(self) -> float:
        """Those that the search has used."""
        again = sum(trial.status.device_seconds for trial in self.ledger.on("confirming"))
        return self.spent_seconds - again

    @property
    def full_seconds(self) -> float | None:
        """Device seconds that training every created trial in full would take.

        Each trial at its own pace, less what starting took; one that never reported at the
        median's.
        """
        start = self._start_seconds
        paces = {trial.index: _pace(trial, start) for trial in self.searched if trained(trial)}
        if not paces:
            return None
        usual, full = median(paces.values()), self.ledger.frame.full
        return sum(
            max(start + paces.get(trial.index, usual) * full(trial), trial.status.device_seconds)
            for trial in self.searched
        )

    @property
    def _start_seconds(self) -> float:
        """Device seconds that an attempt takes whatever it trains: a line through the trials."""
        known = [trial for trial in self.searched if trained(trial)]
        steps = [trained(trial) / _attempts(trial) for trial in known]
        seconds = [trial.status.device_seconds / _attempts(trial) for trial in known]
        if len(set(steps)) < 2:
            return 0.0
        return max(0.0, linear_regression(steps, seconds).intercept)

    def seconds_left(self, steps_heard: Mapping[int, int] | None = None) -> float | None:
        """A guess at the wall time to the end, from the steps that are expected to be left.

        `steps_heard` is how far running trials are, beyond what is recorded of them.
        """
        heard = steps_heard or {}
        ahead = sum(max(0, step - trained(self.ledger.trial(i))) for i, step in heard.items())
        done = sum(trained(trial) for trial in self.trials) + ahead
        total = self.study.spec.budget.trials
        of_unknown_length = self.ledger.frame.horizon is not None
        if not done or total is None or not self.spent_seconds or of_unknown_length:
            return None
        frame, eta, steps, below = self.ledger.frame, rungs.eta(self.study) or 1, 0, 0
        starting = Counter(frame.brackets.skipped(frame.brackets.of(i)) for i in range(total))
        expected = 0
        for at, rung in enumerate(self.rungs):
            steps += starting[at] * below  # a bracket that begins here trains up to it at once
            expected = (max(1, expected // eta) if at else 0) + starting[at]
            steps += max(0, expected - rung.reached) * (rung.level - below)
            below = rung.level
        steps += confirmation.to_come(self.study, self.ledger) * frame.most
        for trial in self.ledger.on("confirming"):
            steps += 0 if trial.status.state in TERMINAL else frame.most - trained(trial)
        rate = self.spent_seconds / done / self.study.spec.template.devices
        return max(0, steps - ahead) * rate / self.study.spec.parallelism


def trained(trial: Trial) -> int:
    """The highest step that the trial is known to have reached."""
    last = trial.status.last
    steps = [record.step for record in trial.status.milestones if record.outcome == "Value"]
    return max([*steps, last.step if last else 0])


def _pace(trial: Trial, start: float) -> float:
    """Device seconds per step, each attempt's start apart."""
    return max(0.0, trial.status.device_seconds - start * _attempts(trial)) / trained(trial)


def _attempts(trial: Trial) -> int:
    return trial.status.attempts[-1].number if trial.status.attempts else 1


def _went_on(trial: Trial, level: int) -> bool:
    record = next((each for each in trial.status.milestones if each.at == level), None)
    return record is not None and (record.decision == "Continue" or record.promotion is not None)
