"""Frame: what of a Study the order of its records depends on.

The milestones of each trial, how far it is to train, the state it is in, and the place of a record
in the order of its rung. Nothing here looks at more than one Trial.
"""

from dataclasses import dataclass

from scaletune.api.confirmation import Goal
from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial, TrialState
from scaletune.core import lifecycle, rungs
from scaletune.core.ranked import Key
from scaletune.core.rungs import Brackets

Whose = int | None  # a bracket, or None: of the whole study


def sign_of(goal: Goal) -> int:
    """What makes a value of this goal a score."""
    return 1 if goal == "Minimize" else -1


def cost_metric_of(study: Study) -> str:
    """The metric that says what a training costs; empty where its device seconds do."""
    carbs = study.spec.policy.carbs
    return "" if carbs is None else carbs.cost_metric or ""


@dataclass(frozen=True)
class Frame:
    """What of the Study the order of its records depends on."""

    sign: int  # +1 to minimise, -1 to maximise
    levels: tuple[int, ...]  # the milestones, the last one the full training
    pauses: bool  # whether trials pause at each milestone
    brackets: Brackets
    population: int = 0  # of how many trials each may go on from a checkpoint of another
    horizon: str | None = None  # the parameter that says how long a trial is, if one does

    cost_metric: str = ""  # that says what a training costs, if its device seconds do not

    @classmethod
    def of(cls, study: Study) -> "Frame":
        return cls(
            sign=sign_of(study.spec.objectives[0].goal),
            levels=rungs.milestones(study),
            pauses=rungs.pauses(study),
            brackets=rungs.brackets(study),
            population=study.spec.policy.pbt.population if study.spec.policy.pbt else 0,
            horizon=study.spec.training.horizon,
            cost_metric=cost_metric_of(study),
        )

    @property
    def most(self) -> int:
        """The level of a full training; see `level`."""
        return self.levels[-1]

    def full(self, trial: Trial) -> int:
        """Where a full training of this trial ends."""
        if self.horizon is None:
            return self.most
        own = (each.int_ for each in trial.spec.parameters if each.name == self.horizon)
        return max(1, next(own, None) or trial.spec.until or self.most)

    def level(self, trial: Trial, at: int) -> int:
        """The level of a trial's milestone: its end is a full training, however long that is."""
        return self.most if self.horizon and at >= self.full(trial) else at

    def cost(self, record: Milestone) -> float | None:
        """What a training had cost at a record; None if the script has not said so."""
        return record.cost if self.cost_metric else record.device_seconds

    def levels_in(self, bracket: int) -> tuple[int, ...]:
        """The milestones of a bracket's trials."""
        return self.levels[self.brackets.skipped(bracket) :]

    def first(self, bracket: int) -> int:
        """How far a new trial of a bracket trains: to its first pause, or in full."""
        return self.levels_in(bracket)[0] if self.pauses else self.most

    def levels_of(self, trial: Trial) -> tuple[int, ...]:
        """The milestones of a trial: confirmation trains in full, whatever the policy."""
        searches = trial.spec.role == "Search"
        if self.horizon:
            full = self.full(trial)
            below = self.levels[:-1] if searches else ()
            return (*(each for each in below if each < full), full)
        return self.levels_in(trial.spec.bracket) if searches else self.levels[-1:]

    def above(self, level: int) -> int:
        """How far a trial trains that goes on from a milestone."""
        if self.population and not self.pauses:
            return self.most
        return next(each for each in self.levels if each > level)

    def whose(self, bracket: int) -> Whose:
        """Whose shelves hold the records of a bracket."""
        return bracket if self.brackets.several else None

    def until(self, trial: Trial) -> int:
        """How far the trial is to train."""
        said = trial.spec.until
        return lifecycle.until(trial, self.first_of(trial)) if said is None else said

    def state(self, trial: Trial) -> TrialState:
        """The trial's state, from its status or its records."""
        said = trial.status.state
        return said or lifecycle.state(trial, self.first_of(trial), self.full(trial))

    def first_of(self, trial: Trial) -> int:
        """How far a trial trains at first: to its first pause, or in full."""
        pauses = self.pauses and trial.spec.role == "Search"
        return self.first(trial.spec.bracket) if pauses else self.full(trial)

    def in_its_state(self, trial: Trial) -> Trial:
        """The trial with its state said: a decision on its records then frees no place."""
        if trial.status.state is not None:
            return trial
        status = trial.status.model_copy(update={"state": self.state(trial)})
        return trial.model_copy(update={"status": status})

    def holds_place(self, trial: Trial) -> bool:
        """Whether the trial takes one of the study's places."""
        state = self.state(trial)
        has_work = state == "Paused" and self.next_level(trial) is not None
        return lifecycle.holds_place(trial, state, has_work=has_work)

    def rank_key(self, trial: Trial, record: Milestone) -> Key:
        """The place of a record in the order of its rung."""
        if record.outcome != "Value" or record.value is None:
            return (True, 0.0, trial.index)
        return (False, self.sign * record.value + 0.0, trial.index)  # -0.0 becomes 0.0

    def next_level(self, trial: Trial) -> int | None:
        """The next milestone that the trial is to reach, or None."""
        reached, until = lifecycle.highest_milestone(trial), self.until(trial)
        if reached >= until:
            return None
        for level in self.levels_of(trial):
            if level > reached:
                return level if level <= until else None
        return None
