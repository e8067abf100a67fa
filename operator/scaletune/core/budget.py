"""Budget: what was spent, what one more trial may cost, and when the study is over by it.

The cost of going on to a milestone is predicted from the trial's own device seconds per step, else
from the study's median at that milestone, else as nothing. Trials that run reserve theirs, so that
the sum stays within the budget when all of them arrive.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.ranked import Ranked


@dataclass(frozen=True)
class Purse:
    """Device seconds that may still be promised; None without a limit."""

    seconds: float | None

    def affords(self, cost: float) -> bool:
        """Whether a cost fits, to the microsecond: sums of floats are not exact."""
        return self.seconds is None or cost <= self.seconds + 5e-7

    def less(self, cost: float) -> "Purse":
        """What remains once a cost is promised."""
        return Purse(None if self.seconds is None else self.seconds - cost)


def spent_seconds(study: Study, ledger: Ledger) -> float:
    """Device seconds of all trials, deleted ones included; it only grows."""
    return max(study.status.device_seconds + ledger.spent_seconds, study.status.spent_seconds)


def purse(study: Study, ledger: Ledger) -> Purse:
    """What is left of gpuHours after everything spent, and reserved by running trials."""
    hours = study.spec.budget.gpu_hours
    if hours is None:
        return Purse(None)
    promised = sum(reserved(ledger, trial) for trial in ledger.on("holders"))
    return Purse(hours * 3600 - spent_seconds(study, ledger) - promised)


def reserved(ledger: Ledger, trial: Trial) -> float:
    """What a trial that holds a place is still to use up to its next milestone."""
    level = ledger.frame.next_level(trial)
    if trial.spec.state != "Running" or level is None:
        return 0.0
    return cost(ledger, trial, level)


def cost(ledger: Ledger, trial: Trial | None, level: int) -> float:
    """Predicted device seconds of a trial (None: a new one) to a milestone."""
    step, rate = 0, None
    if trial is not None:
        last, began_at = trial.status.last, trial.spec.began_at
        steps = [record.step for record in trial.status.milestones]
        step = max([*steps, last.step if last else began_at])
        if step > began_at and trial.status.device_seconds:
            rate = trial.status.device_seconds / (step - began_at)
    if rate is None:
        confirms = trial is not None and trial.spec.role != "Search"
        rate = full_rate(ledger) if confirms else _median(_rates(ledger, trial, level))
    return rate * max(0, level - step)


def _rates(ledger: Ledger, trial: Trial | None, level: int) -> Ranked:
    return ledger.shelf(("rates", level if trial is None else ledger.frame.level(trial, level)))


def full_rate(ledger: Ledger) -> float:
    """Device seconds per step of a training in full, from the highest rung that tells; else 0."""
    rates = (ledger.shelf(("rates", level)) for level in reversed(ledger.frame.levels))
    return next((_median(each) for each in rates if len(each)), 0.0)


def _median(rates: Ranked) -> float:
    """The middle rate, in O(log n): this is asked for every trial that runs."""
    low, high = (len(rates) - 1) // 2, len(rates) // 2
    return float(rates.at(low)[0][0] + rates.at(high)[0][0]) / 2 if len(rates) else 0.0


def seconds_of(duration: str) -> float:
    """Seconds of a duration such as 1h30m."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", duration)
    if not duration or parts is None:
        raise ValueError(f"duration {duration!r}: write it as 24h, 1h30m or 90s")
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return float(3600 * hours + 60 * minutes + seconds)


@lru_cache(maxsize=256)
def instant(timestamp: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()


def ends_at(study: Study, now: float) -> float | None:
    """When budget.duration is over; None without one. A study that was never planned starts now."""
    duration = study.spec.budget.duration
    if duration is None:
        return None
    started = now if study.status.started_at is None else instant(study.status.started_at)
    return started + seconds_of(duration)


def exhausted(study: Study, ledger: Ledger, now: float) -> str | None:
    """Which bound is reached, in words; None while there is some of each left."""
    hours, end = study.spec.budget.gpu_hours, ends_at(study, now)
    if hours is not None and spent_seconds(study, ledger) >= hours * 3600:
        spent = spent_seconds(study, ledger) / 3600
        return f"{spent:.2f} of {hours:g} gpuHours are used"
    if end is not None and now >= end:
        return f"the duration of {study.spec.budget.duration} is over"
    return None
