"""ASHA: asynchronous successive halving (Li et al., arXiv:1810.05934, algorithm 2).

Trials are compared on rungs, eta apart. `Promote` is the algorithm of the paper: every trial pauses
at each rung, and whenever a place is free the best of the highest rung that is among its best
1/eta goes on to the next. `Stop` is the variant without pauses: on reaching a rung a trial goes on
if it is among the best 1/eta of those that have come so far, else it is stopped for ever. Where a
study begins at the centers of all its parameters, `Stop` trains this first trial in full: it would
be compared with the few that start beside it, and what the user knows be lost for ever by chance.

All comparisons are in integers and in one total order (see `core.ledger`), exactly `quota` trials
ever have a quota's places, and a configuration that failed counts as a competitor that is never
promoted. With several brackets each has its own rungs and quotas, and the next trial is of the one
that is furthest behind its share. What this policy does not do: any use of wall time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.policies.full import NobodyWaits
from scaletune.core.policies.in_vain import beyond
from scaletune.core.ranked import Ranked
from scaletune.core.rungs import Brackets
from scaletune.core.samplers.sampler import begins_at_centers


def policy(study: Study, levels: tuple[int, ...], brackets: Brackets) -> "Stop | Promote":
    """The policy of a Study that names `asha`, on these milestones."""
    spec = study.spec.policy.asha
    assert spec is not None
    if spec.mode == "Stop":
        return Stop(levels, spec.eta, begins_at_centers(study))
    return Promote(levels, spec.eta, brackets)


@dataclass(frozen=True)
class Stop(NobodyWaits):
    """The weak are stopped as they reach a rung, for ever."""

    levels: tuple[int, ...]
    eta: int
    spares_first: bool = False

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """Continue if rank < max(1, n // eta) among those that have come so far, or if spared."""
        rung, key = ledger.rung_with(trial, record)
        n, rank = len(rung), rung.rank(key)
        if record.at == self.levels[-1]:
            word: DecisionWord = "Stop" if key[0] else "Complete"
            return word, Evidence(n=n, rank=rank, quota=None, against=None)
        quota = max(1, n // self.eta)
        if key[0]:
            return "Stop", Evidence(n=n, rank=rank, quota=quota, against=None)
        if rank < quota or (self.spares_first and trial.index == 0):
            return "Continue", Evidence(n=n, rank=rank, quota=quota, against=None)
        against = rung.at(quota - 1)[0][-1]
        return "Stop", Evidence(n=n, rank=rank, quota=quota, against=against)


@dataclass(frozen=True)
class Promote:
    """Everybody pauses at each rung; the best go on when there is a place."""

    levels: tuple[int, ...]
    eta: int
    brackets: Brackets

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """Pause below the end, Complete there; a configuration that failed has stopped."""
        rung, key = ledger.rung_with(trial, record)
        last = record.at == self.levels[-1]
        quota = None if last else len(rung) // self.eta
        evidence = Evidence(n=len(rung), rank=rung.rank(key), quota=quota, against=None)
        return ("Stop" if key[0] else "Complete" if last else "Pause"), evidence

    def next_promotion(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The best waiting trial of the highest rung where one is within the quota n // eta.

        The quota counts every record of the rung, those of promoted and of failed trials too.
        """
        for at, bracket in _rungs(len(self.levels), len(self.brackets.sizes)):
            waiting = ledger.waiting(self.levels[at], bracket)
            if not len(waiting):
                continue
            rung = ledger.rung(self.levels[at], bracket)
            if rung.rank(waiting.at(0)[0]) < len(rung) // self.eta:
                return self._best_waiting(ledger, at, bracket)
        return None

    def drain(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The best waiting trial of the highest rung, whatever the quota, until one is done."""
        if ledger.has_full_training():
            return None
        every = _rungs(len(self.levels), len(self.brackets.sizes))
        for _, rungs in groupby(every, key=lambda rung: rung[0]):
            waits = [
                (ledger.waiting(self.levels[at], bracket).at(0)[0], at, bracket)
                for at, bracket in rungs
                if len(ledger.waiting(self.levels[at], bracket))
            ]
            if waits:
                _, at, bracket = min(waits)
                return self._best_waiting(ledger, at, bracket)
        return None

    def _best_waiting(self, ledger: Ledger, at: int, bracket: int) -> tuple[Trial, int, Evidence]:
        level = self.levels[at]
        key, _ = ledger.waiting(level, bracket).at(0)
        rung = ledger.rung(level, bracket)
        n = len(rung)
        evidence = Evidence(n=n, rank=rung.rank(key), quota=n // self.eta, against=None)
        return ledger.trial(key[-1]), self.levels[at + 1], evidence

    def freed(self, ledger: Ledger, trials: int | None, *, finishing: bool) -> Iterator[Trial]:
        """Paused trials whose rank is beyond the quota that their rung is going to have.

        N is how many records a rung is going to hold: `trials` on the first; on the next, those
        that can still be promoted to it and those that were and have since been overtaken. (If
        more are overtaken later, a freed trial may turn out to have been within the quota: rare,
        and its checkpoint would have been kept for nothing in all other cases.) The best waiting
        trial of each rung is kept for the drain until it is not needed.
        """
        if trials is None:
            return
        keep_best = not finishing and not ledger.has_full_training()
        for bracket in range(len(self.brackets.sizes)):
            most = self.brackets.count(bracket, trials)
            yield from self._freed(ledger, bracket, most, keep_best=keep_best)

    def _freed(
        self, ledger: Ledger, bracket: int, most: int, *, keep_best: bool
    ) -> Iterator[Trial]:
        below: tuple[Ranked, Ranked] | None = None
        for level in self.levels[bracket:-1]:
            rung = ledger.rung(level, bracket)
            if not len(rung):
                return  # and nobody has come further
            if below is not None:
                most = max(len(rung), self._most_promoted(*below, most))
            below = rung, ledger.of_bracket(bracket, ("promoted", level))
            quota = max(1, most // self.eta)
            if len(rung) > quota:
                yield from beyond(ledger, level, bracket, quota, keep_best=keep_best)

    def _most_promoted(self, rung: Ranked, promoted: Ranked, most: int) -> int:
        """How many trials can ever be promoted from a rung of at most `most` records."""
        quota = len(rung) // self.eta
        within = promoted.rank(rung.at(quota)[0]) if quota < len(rung) else len(promoted)
        return most // self.eta + len(promoted) - within


@lru_cache(maxsize=64)
def _rungs(levels: int, brackets: int) -> tuple[tuple[int, int], ...]:
    """(rung, bracket): the highest rung first, of equal ones the bracket with most trials."""
    rungs = reversed(range(levels - 1))
    return tuple((at, bracket) for at in rungs for bracket in range(min(at + 1, brackets)))
