"""Discarded: whose checkpoints nobody will read again.

Those of trials that have lost, or failed by themselves. The best one's stay, whatever became of it;
what others may still go on from stays; and so do those of every trial that was stopped only because
its study was: people may want them.
"""

from collections.abc import Collection

from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.core import attempts
from scaletune.core.lifecycle import resumes_from
from scaletune.core.plan import FREED


def discarded(study: Study, trials: Collection[Trial]) -> list[Trial]:
    """The trials whose checkpoints can go, in the order of creation."""
    if study.spec.checkpoints is not None and study.spec.checkpoints.keep == "All":
        return []
    going_on = (each for each in trials if each.status.state not in TERMINAL)
    needed = {place.trial for place in map(resumes_from, going_on) if place is not None}
    if study.status.best is not None:
        needed.add(study.status.best.index)
    found = (trial for trial in trials if has_lost(trial) and trial.index not in needed)
    return sorted(
        (trial for trial in found if not attempts.lent(study, trial)), key=lambda trial: trial.index
    )


def has_lost(trial: Trial) -> bool:
    """Whether the trial has ended as one of the weaker, and not because the study was ended."""
    if trial.status.state == "Failed":
        return True
    lost = any(record.decision == "Stop" for record in trial.status.milestones)
    return trial.status.state == "Stopped" and (lost or trial.status.reason == FREED)


def freed(trial: Trial) -> Trial:
    """The trial once its checkpoints are gone."""
    status = trial.status.model_copy(update={"checkpoint": None})
    return trial.model_copy(update={"status": status})
