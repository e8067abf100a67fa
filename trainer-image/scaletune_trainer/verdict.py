"""Why the workers ended, and whose fault it was: a pure judgement over what is known.

In this order: an end that all ranks agreed on and committed counts whatever came after it; then
what PID 1 did itself (stall, signal); then what the script reported (divergence); then the failure
of the rank that failed first. A script that fails before its first report or checkpoint has the
user's error in it; one that fails later is tried again from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scaletune_trainer.failure import Failure, Kind, kind_of_text, quoted
from scaletune_trainer.launch import Ended, WorkerEnd
from scaletune_trainer.record import Record
from scaletune_trainer.wire import Reason


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What PID 1 saw besides the workers' ends."""

    stalled: bool = False
    oom_killed: bool = False
    agreed: Reason | None = None
    """What this node's own workers said; counts where there is no journal."""
    until: int = 0
    stall_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reason of an end, with the words of whoever failed."""

    reason: Reason
    error: str = ""


def first_failure(
    failures: Sequence[WorkerEnd], seen: Mapping[int, Failure]
) -> tuple[WorkerEnd, Failure | None]:
    """The worker that failed first, as far as can be known.

    A worker killed by a signal comes before those that lost their peer with it; torchrun itself
    sends SIGTERM to the survivors, so that one comes last. Then the workers' own clocks decide.
    """

    def order(end: WorkerEnd) -> tuple[int, float, int]:
        failure = seen.get(end.local_rank)
        if failure is not None:
            return 1, failure.time, end.local_rank
        if end.code == -15:
            return 3, 0.0, end.local_rank
        return (0 if end.code < 0 else 2), 0.0, end.local_rank

    end = min(failures, key=order)
    return end, seen.get(end.local_rank)


def judge(
    record: Record,
    ended: Ended,
    seen: Mapping[int, Failure],
    last_words: Mapping[int, str],
    around: Circumstances,
) -> Verdict:
    if record.end is not None:
        return Verdict(record.end.reason)
    if around.agreed is not None:
        return Verdict(around.agreed)
    if around.stalled:
        text = f"no report and no checkpoint for {around.stall_seconds:g} s: the workers were ended"
        return Verdict(Reason.STALLED, text)
    if ended.asked_to_leave:
        return Verdict(Reason.TERMINATED)
    if record.diverged:
        return Verdict(Reason.DIVERGED)
    if ended.error:
        return Verdict(Reason.CRASHED, ended.error)
    if not ended.failures:
        return _left_early(record, around)
    return _failed(record, ended, seen, last_words, around)


def _left_early(record: Record, around: Circumstances) -> Verdict:
    text = (
        f"the script ended by itself at step {record.step}, before step {around.until}: "
        "train inside `for step in trial.steps():` and let the loop end by itself"
    )
    return Verdict(Reason.USER_ERROR, text)


def _failed(
    record: Record,
    ended: Ended,
    seen: Mapping[int, Failure],
    last_words: Mapping[int, str],
    around: Circumstances,
) -> Verdict:
    end, failure = first_failure(ended.failures, seen)
    words = failure.text if failure else quoted(last_words.get(end.local_rank, ""))
    text = f"{end}: {words}" if words else str(end)
    kind = failure.kind if failure else kind_of_text(words)
    if around.oom_killed:
        return Verdict(Reason.OUT_OF_MEMORY, f"the container ran out of memory; {text}")
    if kind is Kind.MEMORY:
        return Verdict(Reason.OUT_OF_MEMORY, text)
    if kind is Kind.USER:
        return Verdict(Reason.USER_ERROR, text)
    if kind is Kind.INFRASTRUCTURE or end.code < 0 or record.has_progress:
        return Verdict(Reason.CRASHED, text)
    return Verdict(Reason.USER_ERROR, text)
