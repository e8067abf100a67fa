"""What a Ledger knows, found by looking at every trial each time."""

from collections.abc import Iterable

from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial


def score(study: Study, record: Milestone) -> float | None:
    """Smaller is better; None for a configuration that failed."""
    if record.value is None or record.outcome != "Value":
        return None
    return -record.value if study.spec.objectives[0].goal == "Maximize" else record.value


def rung(study: Study, trials: Iterable[Trial], at: int) -> list[int]:
    """Indices of a rung's trials, best first; void records count nowhere."""
    found = []
    for trial in trials:
        for record in trial.status.milestones:
            if record.at == at and record.decision != "Void":
                value = score(study, record)
                found.append((value is None, value or 0.0, trial.index))
    return [index for _, _, index in sorted(found)]


def best(study: Study, trials: Iterable[Trial]) -> tuple[int, int] | None:
    """(index, milestone) of the best: the highest milestone, then the value, then the index."""
    found = []
    for trial in trials:
        for record in trial.status.milestones:
            value = score(study, record)
            if value is not None and record.decision != "Void":
                found.append((-record.at, value, trial.index))
    return (min(found)[2], -min(found)[0]) if found else None
