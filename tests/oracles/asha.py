"""ASHA as the paper has it, slowly: lists, sorts, and a fresh look at everything each time.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (arXiv:1810.05934), algorithm 2
for the mode Promote; the stopping variant for the mode Stop. Nothing here is shared with
`scaletune.core`: where the two disagree, one of them has misread the rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """A trial at a level; `score` is smaller for better, None for a configuration that failed."""

    trial: int
    level: int
    number: int
    score: float | None


@dataclass(frozen=True)
class Verdict:
    """A decision in the words of the rules."""

    word: str
    n: int
    rank: int
    quota: int | None
    against: int | None = None


def levels(low: int, eta: int, top: int) -> list[int]:
    """low, low*eta, ... below top, then top."""
    found = []
    while low < top:
        found.append(low)
        low = low * eta
    return [*found, top]


def standing(records: Iterable[Record], level: int) -> list[Record]:
    """One rung, best first: finite before failed, then the score, then the lower index."""
    rung = [record for record in records if record.level == level]
    return sorted(rung, key=lambda r: (r.score is None, r.score or 0.0, r.trial))


def judge(record: Record, records: Iterable[Record], eta: int, top: int, mode: str) -> Verdict:
    """What becomes of a trial at the moment its record is made."""
    known = [other for other in records if other.number <= record.number]
    rung = standing(known, record.level)
    n, rank = len(rung), rung.index(record)
    if record.level == top:
        return Verdict("Complete" if record.score is not None else "Stop", n, rank, None)
    if mode == "Promote":
        return Verdict("Pause" if record.score is not None else "Stop", n, rank, n // eta)
    quota = max(1, n // eta)
    if record.score is None:
        return Verdict("Stop", n, rank, quota)
    if rank < quota:
        return Verdict("Continue", n, rank, quota)
    return Verdict("Stop", n, rank, quota, rung[quota - 1].trial)


def promotable(
    records: Sequence[Record], promoted: set[tuple[int, int]], gone: set[int], eta: int, top: int
) -> list[Record]:
    """Who may go on, in the order in which free places are given: highest rung, best first."""
    found = []
    for level in sorted({record.level for record in records if record.level < top}, reverse=True):
        rung = standing(records, level)
        for record in rung[: len(rung) // eta]:
            if record.score is None or record.trial in gone:
                continue
            if (record.trial, level) not in promoted:
                found.append(record)
    return found


def drained(
    records: Sequence[Record], promoted: set[tuple[int, int]], gone: set[int], top: int
) -> Record | None:
    """The best of the highest rung that still has somebody to send on; none once R is reached."""
    if any(record.level == top and record.score is not None for record in records):
        return None
    for level in sorted({record.level for record in records if record.level < top}, reverse=True):
        for record in standing(records, level):
            waits = (record.trial, level) not in promoted and record.trial not in gone
            if record.score is not None and waits:
                return record
    return None


@dataclass(frozen=True)
class Situation:
    """All that bears on who can never be promoted any more."""

    records: Sequence[Record]
    promoted: set[tuple[int, int]]
    gone: set[int]
    eta: int
    ladder: Sequence[int]
    trials: int | None


def freed(now: Situation) -> set[int]:
    """The paused trials that can be stopped: their rank is beyond what their rung ever takes."""
    if now.trials is None:
        return set()
    top = now.ladder[-1]
    reached = any(record.level == top and record.score is not None for record in now.records)
    free: set[int] = set()
    expected = now.trials
    for level in now.ladder[:-1]:
        rung = standing(now.records, level)
        waiting = [
            record
            for record in rung
            if record.score is not None
            and (record.trial, level) not in now.promoted
            and record.trial not in now.gone
        ]
        kept = waiting[:1] if not reached else []
        for rank, record in enumerate(rung):
            if record in waiting and record not in kept and rank >= max(1, expected // now.eta):
                free.add(record.trial)
        in_top = {record.trial for record in rung[: len(rung) // now.eta]}
        overtaken = [t for t, at in now.promoted if at == level and t not in in_top]
        above = now.ladder[now.ladder.index(level) + 1]
        expected = max(len(standing(now.records, above)), expected // now.eta + len(overtaken))
    return free
