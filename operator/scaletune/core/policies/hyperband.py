"""Hyperband (Li et al., arXiv:1603.06560): how far to trust a first rung is itself a gamble.

It runs successive halving again and again: a bracket of many trials that are compared early, then
brackets of fewer trials that are compared later each time, down to a few that are trained in full
at once; each costs about as much as the others. Then, while the budget lasts, all of it again.

With k rungs below a full training the bracket with s of them begins with
ceil((k + 1) eta^s / (s + 1)) trials. That table and the milestones are in `core.rungs`, the rule
by which trials go on in `successive_halving`: this file says how Hyperband puts them together.
"""

from scaletune.core.policies.successive_halving import Coming, Synchronous
from scaletune.core.rungs import Brackets, Levels, hyperband_sizes


def policy(levels: Levels, eta: int, coming: Coming) -> Synchronous:
    """The policy of a Study's `hyperband` on these milestones."""
    brackets = Brackets(hyperband_sizes(len(levels), eta), woven=False)
    return Synchronous(levels, eta, brackets, coming)
