"""Requeues: when an attempt that does not start is taken back, and when it is tried again. Pure.

An attempt is taken back in steps that any crash may separate: the withdrawal is stored in the
Trial, then the Job is deleted, and once its pods are gone the attempt is over and the instant of
the next one is stored. If all of its pods came to run in between, it simply goes on.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from scaletune.api.conditions import STARTED, Condition, condition, with_condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.budget import instant
from scaletune.core.failures import EVICTED, LOST, Verdict
from scaletune.core.lifecycle import Event
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.hindrances.starting import Obstacle
from scaletune.shells.kubernetes.seen.views import Job

BACKOFF_SECONDS: Final = 15.0
BACKOFF_SECONDS_MAX: Final = 300.0
# Each try of a pod that cannot run costs five writes; after a second chance that comes soon, all
# trials of a study together make no more than one in ten seconds of it.
BACKOFF_SECONDS_OF_A_PLACE: Final = 50.0
BACKOFF_SECONDS_OF_ALL: Final = 3600.0

# Why an attempt has ended that never started.
CANNOT_START: Final = "CannotStart"  # its containers, or its pods, have failed before
START_TIMEOUT: Final = "StartTimeout"  # within template.startSeconds
BLOCKED: Final = "Blocked"  # by another gang, as it blocks that one
TEMPLATE_CHANGED: Final = "TemplateChanged"  # so that it would start as nobody wants any more
_INTERRUPTS: Final = frozenset({"Crashed", "Stalled", LOST, EVICTED, "Disrupted", "Terminated"})
_POSTPONES: Final = frozenset({CANNOT_START, START_TIMEOUT, BLOCKED})


def is_waiting(trial: Trial) -> bool:
    """Whether the trial has an open attempt that has not started as a whole."""
    return attempts.is_open(trial) and trial.status.state != "Running"


def withdrawal(
    study: Study, trial: Trial, job: Job | None, template_hash: str, now: float
) -> str | None:
    """Why an attempt that waits is to be taken back by what is known of it alone."""
    attempt = trial.status.attempts[-1]
    if attempt.template_hash != template_hash:
        return TEMPLATE_CHANGED
    if job is None or job.is_suspended:
        return None
    begun = instant(attempt.started_at) if attempt.started_at else job.released
    is_late = now - max(begun, job.released) >= study.spec.template.start_seconds
    return START_TIMEOUT if is_late else None


def youngest(trials: Iterable[Trial]) -> Trial:
    """The trial whose attempt began last; of equals, the one with the last name."""
    return max(trials, key=lambda each: (_begun(each), each.metadata.namespace, each.metadata.name))


def taken_back(trial: Trial, cause: str) -> Trial:
    """The trial whose latest attempt is to end before it has started."""
    attempt = trial.status.attempts[-1].model_copy(update={"withdrawal": cause})
    return _with(trial, attempts=(*trial.status.attempts[:-1], attempt))


def verdict(trial: Trial, cause: str, words: str = "") -> Verdict:
    """What the end of an attempt means that never started: nothing, but that it is tried again."""
    return Verdict(Event.LOST, cause, reason=words, crashes=trial.status.crashes)


def postponed(trial: Trial, parallelism: int, now: float) -> Trial:
    """The trial whose latest attempt has ended, and when the next one may begin."""
    last = trial.status.attempts[-1]
    is_unstarted = last.cause in _POSTPONES
    # Who has run is tried again at once the first time: most of what interrupts has passed then.
    number = _in_a_row(trial, _POSTPONES) if is_unstarted else _in_a_row(trial, _INTERRUPTS) - 1
    if number < 1:
        return trial
    least, most = 0.0, BACKOFF_SECONDS_MAX
    if last.cause == CANNOT_START:
        together = min(BACKOFF_SECONDS_OF_ALL, BACKOFF_SECONDS_OF_A_PLACE * parallelism)
        least, most = together if number > 1 else 0.0, max(most, together)
    seconds = max(least, min(most, BACKOFF_SECONDS * 2.0 ** (number - 1)))
    return _with(trial, start_after=timestamp(now + seconds))


def _in_a_row(trial: Trial, causes: frozenset[str]) -> int:
    """How many of the latest attempts have ended so, without a newer checkpoint."""
    checkpoint, number = trial.status.checkpoint, 0
    for attempt in reversed(trial.status.attempts):
        has_checkpoint = checkpoint is not None and checkpoint.incarnation == attempt.incarnation
        if attempt.cause not in causes or has_checkpoint:
            break
        number += 1
    return number


def begins_at(trial: Trial, template_hash: str) -> float:
    """When the next attempt may begin; at once with a template that was not tried yet."""
    status = trial.status
    is_untried = not status.attempts or status.attempts[-1].template_hash != template_hash
    return 0.0 if is_untried or status.start_after is None else instant(status.start_after)


def begin_in(trials: Iterable[Trial], template_hash: str, now: float) -> Iterator[float]:
    """In how many seconds the trials may begin again that could not start."""
    for trial in trials:
        is_due = trial.spec.state == "Running" and not attempts.is_open(trial)
        seconds = begins_at(trial, template_hash) - now
        if is_due and seconds > 0:
            yield seconds


def is_hindered(trial: Trial) -> bool:
    """Whether the trial's condition says that something stands in its way."""
    found = condition(trial.status.conditions, STARTED)
    return found is not None and found.status == "False"


def hindered(trial: Trial, obstacle: Obstacle, now: float) -> Trial:
    """The trial with the condition that says what stands in its way."""
    trial = trial if trial.status.state else _with(trial, state="Pending")
    return _with_condition(trial, "False", obstacle.reason, obstacle.message, now)


def unhindered(trial: Trial, now: float) -> Trial:
    """The trial with the condition that its latest attempt has started."""
    old = condition(trial.status.conditions, STARTED)
    if old is not None and old.status == "True":
        return trial
    return _with_condition(trial, "True", "Running", "all its pods run", now)


def _with_condition(trial: Trial, status: str, reason: str, message: str, now: float) -> Trial:
    new = Condition.model_validate(
        {
            "type": STARTED,
            "status": status,
            "reason": reason[:63],
            "message": message[:2048],
            "last_transition_time": timestamp(now),
            "observed_generation": trial.metadata.generation,
        }
    )
    return _with(trial, conditions=with_condition(trial.status.conditions, new))


def _begun(trial: Trial) -> str:
    return trial.status.attempts[-1].started_at or ""


def _with(trial: Trial, **update: object) -> Trial:
    return trial.model_copy(update={"status": trial.status.model_copy(update=update)})
