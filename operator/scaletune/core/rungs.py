"""Rungs: the milestones at which trials are compared before more is spent on them.

A *bracket* is a group of trials that are compared with each other alone; its rungs are the last
ones of the study's, so that a later bracket begins further up. Which bracket a trial is in follows
from its index, and is stored in it.

Integers throughout: floor(log(R/r)/log(eta)) in floating point loses a rung at R/r = 243, eta 3.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate

from scaletune.api.study import Study

Levels = tuple[int, ...]


@dataclass(frozen=True)
class Brackets:
    """Which bracket a trial is in, and how many milestones of the study's that one leaves out.

    `sizes` are those of one round, bracket by bracket. Woven brackets share the trials in this
    proportion for ever; others follow each other, and after a round the next bracket is like the
    first one.
    """

    sizes: tuple[int, ...] = (1,)
    woven: bool = True

    @cached_property
    def several(self) -> bool:
        """Whether there is more than one."""
        return not self.woven or len(self.sizes) > 1

    def of(self, index: int) -> int:
        """The bracket of a trial."""
        if self.woven:
            return _woven(self.sizes, 1 << index.bit_length())[index] if self.several else 0
        rounds, place = divmod(index, sum(self.sizes))
        within = next(b for b, end in enumerate(accumulate(self.sizes)) if place < end)
        return rounds * len(self.sizes) + within

    def skipped(self, bracket: int) -> int:
        """How many of the study's milestones a bracket leaves out."""
        return bracket % len(self.sizes)

    def trials(self, bracket: int) -> range:
        """The indices of a bracket's trials, where brackets follow each other."""
        rounds, within = divmod(bracket, len(self.sizes))
        start = rounds * sum(self.sizes) + sum(self.sizes[:within])
        return range(start, start + self.sizes[within])

    def count(self, bracket: int, trials: int) -> int:
        """How many of the study's first trials are in a bracket, where they are woven."""
        return _shares(self.sizes, trials)[bracket] if self.several else trials


ONE = Brackets()


@lru_cache(maxsize=64)
def _woven(sizes: tuple[int, ...], length: int) -> tuple[int, ...]:
    """The bracket of each trial: always the one that is furthest behind its share."""
    total, taken, order = sum(sizes), [0] * len(sizes), []
    for done in range(1, length + 1):
        behind = [done * size - total * had for size, had in zip(sizes, taken, strict=True)]
        following = behind.index(max(behind))
        taken[following] += 1
        order.append(following)
    return tuple(order)


@lru_cache(maxsize=64)
def _shares(sizes: tuple[int, ...], trials: int) -> tuple[int, ...]:
    """How many of the first trials are in each bracket."""
    order = _woven(sizes, trials)
    return tuple(order.count(bracket) for bracket in range(len(sizes)))


def milestones(study: Study) -> Levels:
    """All milestones of a study's trials; the last one is a full training."""
    most, policy = study.spec.training.most, study.spec.policy
    if policy.hyperband is not None:
        return fractions(policy.hyperband.min or 0, most, policy.hyperband.eta)
    if policy.carbs is not None:
        return *sorted(each for each in policy.carbs.milestones if each < most), most
    if policy.pbt is not None:
        return multiples(policy.pbt.interval or default_interval(most), most)
    named = policy.asha or policy.successive_halving
    if named is None:
        return (most,)
    return levels(named.min or default_least(most, named.eta), most, named.eta)


def brackets(study: Study) -> Brackets:
    """The brackets of a study's trials."""
    policy, rungs = study.spec.policy, len(milestones(study))
    if policy.hyperband is not None:
        return Brackets(hyperband_sizes(rungs, policy.hyperband.eta), woven=False)
    if policy.successive_halving is not None:
        named = policy.successive_halving
        return Brackets((named.configurations or named.eta ** (rungs - 1),), woven=False)
    if policy.asha is not None and policy.asha.brackets > 1:
        return Brackets(hyperband_sizes(rungs, policy.asha.eta)[: policy.asha.brackets])
    return ONE


def eta(study: Study) -> int | None:
    """How hard the policy selects; None when it does not."""
    policy = study.spec.policy
    named = policy.asha or policy.hyperband or policy.successive_halving
    return None if named is None else named.eta


def pauses(study: Study) -> bool:
    """Whether trials pause at each milestone."""
    policy = study.spec.policy
    if policy.asha is not None:
        return policy.asha.mode == "Promote"
    if policy.pbt is not None:
        return policy.pbt.mode == "Sync" or study.spec.parallelism < policy.pbt.population
    return policy.hyperband is not None or policy.successive_halving is not None


@lru_cache(maxsize=64)
def levels(least: int, most: int, eta: int) -> Levels:
    """Milestones least, least*eta, least*eta^2, ... below most, and most itself."""
    steps, step = [], least
    while step < most:
        steps.append(step)
        step *= eta
    return (*steps, most)


@lru_cache(maxsize=64)
def multiples(interval: int, most: int) -> Levels:
    """Milestones interval, 2*interval, ... below most, and most itself."""
    return (*range(interval, most, interval), most)


def default_interval(most: int) -> int:
    """The interval that gives ten milestones, the last one most; or as many as fit."""
    return -(-most // 10)


def default_least(most: int, eta: int) -> int:
    """The smallest first level that gives four rungs below most, or as many as fit from 1 up."""
    return max(1, -(-most // eta**4))


@lru_cache(maxsize=64)
def fractions(least: int, most: int, eta: int) -> Levels:
    """Milestones ..., most/eta^2, most/eta, most, rounded half to even, none below least.

    Without a least there are four of them below most, or as many as fit from 1 up.
    """
    lowest, power = least or max(1, most // eta**4), 0
    while lowest * eta ** (power + 1) <= most:
        power += 1
    return tuple(round(Fraction(most, eta**k)) for k in range(power, -1, -1))


@lru_cache(maxsize=64)
def hyperband_sizes(rungs: int, eta: int) -> tuple[int, ...]:
    """How many trials start in each bracket of Hyperband, the one with all rungs first."""
    return tuple(-(-rungs * eta**s // (s + 1)) for s in range(rungs - 1, -1, -1))
