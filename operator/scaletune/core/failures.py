"""Failures: how an attempt ended, and whose fault it was.

Divergence and running out of memory count against the configuration; an error of the script is the
user's; everything else is infrastructure and is retried from the last checkpoint. A disruption (a
drained node, a preemption, a SIGTERM) is nobody's fault and not counted; of the others,
`template.retries` may follow each other without a newer checkpoint.

The last of them may have ended without a word. Then one more attempt only reads its journal: what
that holds is not lost, and a newer checkpoint in it lets the trial go on. So it is when the kernel
has killed all of a pod for want of memory, only that no checkpoint helps.
"""

from dataclasses import dataclass, replace

from scaletune.api.record import Attempt, FailureKind
from scaletune.api.trial import Trial
from scaletune.core.lifecycle import Event, is_outdated
from scaletune_trainer.wire import ExitCode, Reason, TerminationMessage


@dataclass(frozen=True)
class End:
    """What a shell saw of the end of an attempt."""

    exit_code: int | None  # None: the processes are gone, and nobody saw how
    message: TerminationMessage | None = None
    disrupted: bool = False  # by the cluster or the machine, not by the trial
    out_of_memory: bool = False  # killed for memory, as the kernel or the kubelet says
    is_unheard: bool = False  # its last words are missing: its journal may say more
    said: str = ""  # by the cluster, of how it ended
    is_overusing: bool = False  # put out for using more than it may, of a disk for example


@dataclass(frozen=True)
class Verdict:
    """What the end means for the trial."""

    event: Event
    cause: str  # one CamelCase word, kept with the attempt
    kind: FailureKind | None = None  # set when the trial has failed for good
    reason: str = ""
    crashes: int = 0  # in a row, without a newer checkpoint
    is_unheard: bool = False


OTHER_VERSION = "OtherVersion"
"""Cause of an attempt whose trainer is of another release: it runs, and cannot be understood."""
EVICTED = "Evicted"
"""Cause of an attempt that was put out for what it used itself: it would be again."""
READERS_MAX = 3
"""How many attempts that only read a journal may be lost themselves before it is given up."""
LOST = "Lost"
"""Cause of an attempt that is gone without a word, such as with its node."""

EXPLOITED = "Exploited"
"""Cause of an attempt that had to leave, because its trial goes on from another's checkpoint."""

QUOTED_MAX = 900
"""Characters of an error after which a sentence of ours has room in a Trial's status."""

_AGREED = {Reason.DONE: Event.COMPLETED, Reason.PAUSED: Event.PAUSED, Reason.STOPPED: Event.STOPPED}
_FAULTS: dict[Reason, FailureKind] = {
    Reason.DIVERGED: "Diverged",
    Reason.OUT_OF_MEMORY: "OutOfMemory",
    Reason.USER_ERROR: "UserError",
}
_REASON_OF_CODE: dict[int | None, Reason] = {
    ExitCode.USER_ERROR: Reason.USER_ERROR,
    ExitCode.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    ExitCode.STALLED: Reason.STALLED,
    ExitCode.TERMINATED: Reason.TERMINATED,
}


def verdict(trial: Trial, end: End, retries: int) -> Verdict:
    """What the end of the trial's latest attempt means."""
    if is_outdated(trial):
        words = "it gave up, to go on from another trial's checkpoint"
        return Verdict(Event.PAUSED, EXPLOITED, reason=words, crashes=trial.status.crashes)
    return replace(_judged(trial, end, retries), is_unheard=end.is_unheard)


def _judged(trial: Trial, end: End, retries: int) -> Verdict:
    reason = _reason(end)
    if reason in _AGREED:  # even when the node went away just after
        if end.is_unheard and reason is not Reason.STOPPED:
            words = "nobody heard all that it reported: the next attempt reads its journal"
            return Verdict(Event.LOST, reason, reason=words, crashes=trial.status.crashes)
        return Verdict(_AGREED[reason], reason)
    if end.is_overusing:
        return _crashed(trial, end, EVICTED, retries)
    if end.disrupted or reason is Reason.TERMINATED:
        cause, words = "Terminated", "it was asked to leave, by SIGTERM"
        if end.disrupted:
            cause, words = "Disrupted", end.said or "it was evicted, drained or preempted"
        return Verdict(Event.LOST, cause, reason=words, crashes=trial.status.crashes)
    if reason in _FAULTS:
        kind = _FAULTS[reason]
        words = _words(end, reason) if kind != "Diverged" else "the objective was not finite"
        if reason is Reason.OUT_OF_MEMORY and end.is_unheard and unread_fault(trial) is None:
            return Verdict(Event.LOST, reason, reason=words, crashes=trial.status.crashes)
        return Verdict(Event.FAILED, reason, kind, words, trial.status.crashes)
    is_gone = end.message is None and end.exit_code is None
    return _crashed(trial, end, LOST if is_gone else reason, retries)


def incompatible(trial: Trial, words: str) -> Verdict:
    """What a trainer of another release means: the image is wrong, and would be again."""
    return Verdict(Event.FAILED, OTHER_VERSION, "UserError", words, trial.status.crashes)


def unread_fault(trial: Trial) -> Attempt | None:
    """The attempt by whose end the trial has failed, as soon as its journal has been read."""
    exploits, ended = trial.status.exploits, trial.status.attempts[:-1]
    given_up = exploits[-1].attempt if exploits else 0
    mine = (each for each in ended if each.number > given_up)
    return next((each for each in mine if each.cause == Reason.OUT_OF_MEMORY), None)


def _reason(end: End) -> Reason:
    if end.out_of_memory:
        return Reason.OUT_OF_MEMORY
    if end.message is not None:
        return end.message.reason
    return _REASON_OF_CODE.get(end.exit_code, Reason.CRASHED)


def _crashed(trial: Trial, end: End, cause: str, retries: int) -> Verdict:
    attempts, checkpoint = trial.status.attempts, trial.status.checkpoint
    progressed = (
        bool(attempts)
        and checkpoint is not None
        and checkpoint.incarnation == attempts[-1].incarnation
    )
    has_trained = cause != Reason.REPLAYED
    crashes = 1 if progressed else trial.status.crashes + has_trained
    words = _words(end, cause)
    if (fault := unread_fault(trial)) is not None:
        return _read(fault, trial, Verdict(Event.LOST, cause, reason=words, crashes=crashes))
    is_unheard = end.is_unheard or any(each.unheard_after is not None for each in attempts)
    is_to_be_read = is_unheard and crashes <= retries + READERS_MAX
    if crashes > retries and not is_to_be_read:
        words = words[-QUOTED_MAX:]  # it is the end of a traceback that says what happened
        words = f"{crashes} crashes in a row without a newer checkpoint; the last one: {words}"
        return Verdict(Event.FAILED, cause, "RetriesExhausted", words, crashes)
    return Verdict(Event.LOST, cause, reason=words, crashes=crashes)


def _read(fault: Attempt, trial: Trial, lost: Verdict) -> Verdict:
    """What it means that an attempt is over that was only to read the journal of a fault."""
    begun = [each for each in trial.status.attempts if each.number > fault.number]
    readers = [each for each in begun if not each.withdrawal]
    if lost.cause != Reason.REPLAYED and len(readers) < READERS_MAX:
        return lost
    words = f"attempt {fault.number} ran out of memory, and left no last words but its journal"
    return replace(lost, event=Event.FAILED, kind="OutOfMemory", reason=words)


def _words(end: End, cause: str) -> str:
    if end.is_overusing and end.said:
        return end.said
    if end.message is not None and end.message.error:
        return end.message.error
    if end.said:
        return end.said
    if cause == Reason.REPLAYED:
        return "it ended without last words, and its journal tells of no newer checkpoint"
    if end.out_of_memory:
        return "the kernel has killed it for want of memory"
    if end.exit_code is None:
        return "its processes are gone without a word"
    return f"{cause} with exit code {end.exit_code}"
