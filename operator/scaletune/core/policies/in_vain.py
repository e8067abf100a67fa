"""Who waits on a rung in vain, in every mode in which paused trials are promoted."""

from collections.abc import Iterator

from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger


def beyond(
    ledger: Ledger, level: int, bracket: int, quota: int, *, keep_best: bool
) -> Iterator[Trial]:
    """The trials that wait on a rung and rank beyond its quota, the worst first.

    With `keep_best` the best of those that wait stays, for the drain.
    """
    rung, waiting = ledger.rung(level, bracket), ledger.waiting(level, bracket)
    for key, _ in waiting.backwards():
        if rung.rank(key) < quota:
            return
        kept = keep_best and key == waiting.at(0)[0]
        trial = ledger.trial(key[-1])
        if not kept and not ledger.frame.holds_place(trial):
            yield trial
