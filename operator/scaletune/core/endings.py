"""Endings: why a study stops before everything it could do is done."""

from dataclasses import dataclass
from itertools import islice, takewhile

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger

USER_ERRORS = 3
CONFIGURATION_FAILURES = 10


@dataclass(frozen=True)
class Ending:
    """A cause in one CamelCase word, and in a sentence that says what to do next."""

    cause: str
    reason: str


def ending(study: Study, ledger: Ledger) -> Ending | None:
    """Why every trial is to be stopped now, if there is a reason."""
    if study.spec.state == "Stopped":
        return Ending("Stopped", "spec.state is Stopped")
    return _target_reached(study, ledger) or _failing_alike(study, ledger)


def _target_reached(study: Study, ledger: Ledger) -> Ending | None:
    objective, sign = study.spec.objectives[0], ledger.frame.sign
    if objective.target is None:
        return None
    for level in ledger.frame.levels:
        rung = ledger.shelf(("rung", level))
        if not len(rung):
            continue
        failed, score, index = rung.at(0)[0]
        if not failed and score <= sign * objective.target:
            at = ledger.record(ledger.trial(index), level).at
            return Ending(
                "TargetReached",
                f"trial {index} reached {objective.metric} {sign * score:g} at milestone {at};"
                f" the target is {objective.target:g}",
            )
    return None


def _failing_alike(study: Study, ledger: Ledger) -> Ending | None:
    """The first trials to end tell whether the rest is worth starting."""
    earliest = next(ledger.on("ended"), None)
    if earliest is None or earliest.status.failure is None:
        return None  # as nearly always: this is asked at every plan
    enough = max(CONFIGURATION_FAILURES, 2 * study.spec.parallelism)
    first = list(islice(ledger.on("ended"), USER_ERRORS))
    if len(first) == USER_ERRORS and all(_kind(trial) == "UserError" for trial in first):
        return Ending(
            "EndedEarly",
            f"the first {USER_ERRORS} trials all failed with an error of the training script;"
            f" the first one: {_why(first[0])}. Mend the script and make a new Study",
        )
    failed = list(islice(takewhile(_failed_without_value, ledger.on("ended")), enough))
    if len(failed) == enough and not _has_value_before(ledger, failed[-1]):
        return Ending(
            "EndedEarly",
            f"the first {enough} trials all failed before any finite value; the first one:"
            f" {_why(failed[0])}. Look at the parameters' ranges and the metric",
        )
    return None


def _has_value_before(ledger: Ledger, failed: Trial) -> bool:
    """Whether any trial had a finite value by then, such as one that waits for the others: it has
    not ended, and yet not all fails. What comes later changes nothing any more."""
    number = failed.status.failure.number if failed.status.failure else 0
    return any(
        record.value is not None and record.number <= number
        for trial in ledger.on("trials")
        for record in trial.status.milestones
    )


def _kind(trial: Trial) -> str | None:
    return trial.status.failure.kind if trial.status.failure else None


def _why(trial: Trial) -> str:
    failure = trial.status.failure
    return f"{failure.kind}: {failure.reason}" if failure else "unknown"


def _failed_without_value(trial: Trial) -> bool:
    failed = _kind(trial) in ("Diverged", "OutOfMemory", "RetriesExhausted")
    return failed and all(record.value is None for record in trial.status.milestones)
