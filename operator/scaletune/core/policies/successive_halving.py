"""Successive halving (Jamieson and Talwalkar, arXiv:1502.07943), as it was first: synchronous.

A bracket has so many slots, each for one trial. When every slot of a rung has its record, the best
1/eta of them go on, and the others are stopped. A slot that stays empty (an error of the script, a
trial stopped by hand) is waited for no longer: it counts as one that failed, so that the numbers of
the bracket's table hold whatever happens. What infrastructure ends only starts again.

Trials pause at each rung with a checkpoint. While a rung waits, those of the next bracket may
start, so that no place is idle that has something to do. When no more trials are to come, the
bracket that is begun is closed with those it has: its slots are the trials that were created in it.

The same rule serves Hyperband. What it does not do: give up on a straggler.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.policies.in_vain import beyond
from scaletune.core.ranked import Key
from scaletune.core.rungs import Brackets

Found = tuple[Trial, int, Evidence]


@dataclass(frozen=True)
class Coming:
    """Which trials are still to come: those from `created` on, up to `limit` if there is one."""

    created: int
    limit: int | None

    def missing(self, ledger: Ledger, trials: range) -> int:
        """How many of these are to come. One below `created` that is not there was deleted."""
        stop = trials.stop if self.limit is None else min(trials.stop, self.limit)
        start = max(trials.start, self.created)
        return max(0, stop - start - _there(ledger, range(start, stop))) if start < stop else 0


@dataclass(frozen=True)
class Synchronous:
    """All come to a rung, then the best go on."""

    levels: tuple[int, ...]
    eta: int
    brackets: Brackets
    coming: Coming

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """Pause below the end, Complete there; a configuration that failed has stopped."""
        rung, key = ledger.rung_with(trial, record)
        last = record.at == self.levels[-1]
        quota = None if last else self._quota(ledger, trial.spec.bracket, record.at)
        evidence = Evidence(n=len(rung), rank=rung.rank(key), quota=quota, against=None)
        return ("Stop" if key[0] else "Complete" if last else "Pause"), evidence

    def next_promotion(self, ledger: Ledger) -> Found | None:
        """The best waiting trial of the first bracket's complete rung that sends one on."""
        for bracket in self._queues(ledger):
            for level, sends_on in self._complete(ledger, bracket):
                if sends_on:
                    return self._best_waiting(ledger, bracket, level)
        return None

    def drain(self, ledger: Ledger) -> Found | None:
        """The best waiting trial of the highest rung, whatever the quota, until one is done.

        All that is left of a bracket may have diverged, or it was closed with too few.
        """
        if ledger.has_full_training():
            return None
        waiting = [
            self._best_waiting(ledger, bracket, level)
            for bracket in self._queues(ledger)
            for level in self._waited_on(ledger, bracket)
        ]
        return min(waiting, key=lambda found: self._standing(ledger, found), default=None)

    def freed(self, ledger: Ledger, trials: int | None, *, finishing: bool) -> Iterator[Trial]:
        """Those that wait on a complete rung below its quota.

        The best of them is kept for the drain until it is not needed.
        """
        keep_best = not finishing and not ledger.has_full_training()
        for bracket in self._queues(ledger):
            for level, _ in self._complete(ledger, bracket):
                quota = self._quota(ledger, bracket, level)
                yield from beyond(ledger, level, bracket, quota, keep_best=keep_best)

    def _complete(self, ledger: Ledger, bracket: int) -> Iterator[tuple[int, bool]]:
        """The rungs that somebody waits on and nobody is still to come to, from the lowest up.

        Nobody starts, none is on the way, and no rung below sends one on: so the last of them is
        the only one that may send one on itself. With each, whether it does.
        """
        if self.coming.missing(ledger, self.brackets.trials(bracket)):
            return
        underway = ledger.of_bracket(bracket, "underway")
        lowest = underway.at(0)[0][0] if len(underway) else self.levels[-1]
        for level in self._waited_on(ledger, bracket):
            if level >= lowest:
                return
            best, _ = ledger.waiting(level, bracket).at(0)
            quota = self._quota(ledger, bracket, level)
            sends_on = ledger.rung(level, bracket).rank(best) < quota
            yield level, sends_on
            if sends_on:
                return

    def _waited_on(self, ledger: Ledger, bracket: int) -> Iterator[int]:
        """The rungs of a bracket that somebody waits on, from the lowest up."""
        levels = ledger.frame.levels_in(bracket)[:-1]
        return (level for level in levels if len(ledger.waiting(level, bracket)))

    def _best_waiting(self, ledger: Ledger, bracket: int, level: int) -> Found:
        key, _ = ledger.waiting(level, bracket).at(0)
        rung, quota = ledger.rung(level, bracket), self._quota(ledger, bracket, level)
        evidence = Evidence(n=len(rung), rank=rung.rank(key), quota=quota, against=None)
        above = self.levels[self.levels.index(level) + 1]
        return ledger.trial(key[-1]), above, evidence

    def _quota(self, ledger: Ledger, bracket: int, level: int) -> int:
        """How many slots the next rung has: the bracket's, divided by eta for each rung."""
        trials = self.brackets.trials(bracket)
        slots = self.coming.missing(ledger, trials) + _there(ledger, trials)
        rungs = sum(each <= level for each in ledger.frame.levels_in(bracket))
        return int(slots // self.eta**rungs)

    def _queues(self, ledger: Ledger) -> Iterator[int]:
        """The brackets in which somebody waits, the first one first."""
        queues, at = ledger.shelf("queues"), 0
        while at < len(queues):
            bracket = queues.at(at)[0][0]
            yield bracket
            at = queues.rank((bracket + 1,))

    def _standing(self, ledger: Ledger, found: Found) -> tuple[int, Key]:
        """The highest rung first, then the rung's own order."""
        trial, above, _ = found
        level = self.levels[self.levels.index(above) - 1]
        record = next(each for each in trial.status.milestones if each.at == level)
        return -level, ledger.frame.rank_key(trial, record)


def _there(ledger: Ledger, trials: range) -> int:
    """How many of these trials there are."""
    known = ledger.shelf("trials")
    return max(0, known.rank((trials.stop,)) - known.rank((trials.start,)))
