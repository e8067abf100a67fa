"""Pareto: who is best at its cost, and how much a new trial is expected to add.

Scores are better when smaller. Trials of one configuration are a *group*: its score and cost are
the means of its members. The rules of groups and fronts are those of CARBS (arXiv:2306.08055); what
differs is said where it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from scaletune.core.numerics.acquisition import log_expected_improvement
from scaletune.core.numerics.gaussian_process import Array

GRID = 24  # costs at which a front is compared with a candidate
CHEAP_FRACTION = 0.2


@dataclass(frozen=True)
class Group:
    """The trials of one configuration, by their places among the observations."""

    members: tuple[int, ...]
    score: float
    cost: float
    best: float
    """best is the score of its best member."""


def groups(configurations: Sequence[object], scores: Array, costs: Array) -> list[Group]:
    """The groups, in the order in which their first members arrived."""
    places: dict[object, list[int]] = {}
    for place, configuration in enumerate(configurations):
        places.setdefault(configuration, []).append(place)
    return [
        Group(
            tuple(each),
            float(np.mean(scores[each])),
            float(np.mean(costs[each])),
            min(scores[each]),
        )
        for each in places.values()
    ]


def front(
    found: Sequence[Group], costs: Array, *, cautious: bool, cheap: float = CHEAP_FRACTION
) -> list[Group]:
    """The groups that are better than every cheaper one, the cheapest first.

    Those below the quantile `cheap` of all costs count as equally dear: only the best of them is
    one. Cautious, a group of one must beat the best member of the one before, and of the cheap ones
    those with several members go first: one lucky run does not lead. Ties go to the cheaper, then
    to the better, then to the earlier.
    """
    if not found:
        return []
    order = sorted(range(len(found)), key=lambda i: (found[i].cost, found[i].score, i))
    threshold = float(np.quantile(costs, cheap))
    first = [i for i in order if found[i].cost <= threshold] or order[:1]
    if cautious:
        first = [i for i in first if len(found[i].members) > 1] or first
    last = min(first, key=lambda i: found[i].score)
    accepted = [found[last]]
    for each in (found[i] for i in order if found[i].cost > threshold and i != last):
        before = accepted[-1]
        mark = before.best if cautious and len(each.members) == 1 else before.score
        if each.score < mark:
            accepted.append(each)
    return accepted


def to_repeat(found: Sequence[Group], outstanding: Sequence[int]) -> int:
    """Which group of a front is run once more: the one with the fewest runs, then the cheapest.

    `outstanding` is how many runs of each are under way.
    """
    runs = [len(each.members) + more for each, more in zip(found, outstanding, strict=True)]
    return runs.index(min(runs))


def best_so_far(log_costs: Array, scores: Array, at: Array, without: float) -> Array:
    """The best score that can be had at each cost; `without` where nothing is so cheap."""
    order = np.argsort(log_costs, kind="stable")
    reached = np.minimum.accumulate(np.minimum(scores[order], without))
    place = np.searchsorted(log_costs[order], at, side="right")
    return np.concatenate([[without], reached])[place]


@dataclass(frozen=True)
class Expected:
    """What a model says of candidates."""

    mean: Array
    deviation: Array
    log_cost: Array


def log_expected_gain(of: Expected, log_costs: Array, scores: Array, top: float) -> Array:
    """The logarithm of the area between cost and score that candidates are expected to add.

    `log_costs` and `scores` are of what is known; `top` is the logarithm of the highest cost that
    counts. What is cheaper than all else competes with the median of what is known.
    """
    without = median(scores.tolist())
    share = (np.arange(GRID) + 0.5) / GRID
    width = np.maximum(top - of.log_cost, 1e-3)
    grid = of.log_cost[:, None] + width[:, None] * share
    targets = best_so_far(log_costs, scores, grid.ravel(), without).reshape(grid.shape)
    each = log_expected_improvement(of.mean[:, None], of.deviation[:, None], targets)
    highest = each.max(axis=1)
    found: Array = highest + np.log(np.exp(each - highest[:, None]).mean(axis=1)) + np.log(width)
    return found
