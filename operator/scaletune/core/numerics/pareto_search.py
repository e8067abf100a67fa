"""Pareto search: which point adds most to the front of score over cost, by models of both.

The rule is that of CARBS (arXiv:2306.08055) with what was found to be better: the models' length-
scales and noise are fitted; candidates lie around the front at several distances and anywhere that
was looked at; what counts is the area that a candidate is expected to add, among those below a
ceiling that is drawn evenly in the logarithm of cost for each trial. How high it may be grows with
what was spent, at a pace, so that cheap trials come first and teach what the dear ones need.

Points under way count as if they had come out as expected.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from scaletune.core.numerics import pareto
from scaletune.core.numerics.basic_space import Space, normals
from scaletune.core.numerics.gaussian_process import (
    Array,
    Hyperparameters,
    Priors,
    Surrogate,
    fit,
)
from scaletune.core.numerics.normal import log_normal_distribution

OUTPUT = Priors(length=(1.0, 1.0), signal=(1.0, 1.0), noise=(0.01, 1.0), linear=(0.1, 1.0))
COST = Priors(length=(2.0, 1.0), signal=(0.3, 1.0), noise=(0.003, 1.0), linear=(1.0, 1.0))
SUCCESS = Priors(length=(1.0, 1.0), signal=(1.0, 1.0), noise=(0.03, 1.0), linear=(0.1, 1.0))
CANDIDATES, REFINED, KEPT, LEADERS = 600, 240, 8, 24
REACH = (0.15, 0.5, 1.0, 2.0)  # of the radius, around the front
CLOSER = (0.1, 0.3)  # of the radius, around the most promising
SPREAD_LEAST = 3.0  # how many times the cheapest one a trial may always cost
LABEL_DEVIATION = 0.5  # of a success (-1) or a failure (+1) from what it stands for
FEASIBLE_LEAST = 0.75  # the probability of success that a candidate must have, if any has it
CHEAPER_CENTER = 1.0  # how far below the center costs count, where the space has no end
CHEAPER = 0.5  # how far below the cheapest one, in logarithms, the ceiling may lie

FIT_ROWS = 100  # that hyperparameters are learned from
SUCCESS_ROWS, SUCCESS_FIT_ROWS = 100, 50  # with a value, and as many without

Uniforms = Callable[..., Array]


@dataclass(frozen=True)
class Seen:
    """Trials that have a value: points, scores (smaller is better), logarithms of full costs."""

    points: Array
    scores: Array
    log_costs: Array
    trained: Array
    """trained is the logarithm of the part of a full training that each score is of."""


@dataclass(frozen=True)
class Knowledge:
    """All that a suggestion follows from."""

    space: Space
    center: Array
    radius: float
    seen: Seen
    fitted_on: int
    """fitted_on is from how many of what was seen, the earliest, hyperparameters are learned."""
    failed: Array
    failed_fitted_on: int
    """failed_fitted_on is the same of what failed."""
    pending: Array
    spent: float
    pace: float
    """pace is which part of what was spent one trial may cost."""
    cost_max: float


def warped(scores: Array) -> Array:
    """Scores on a scale that is even among the good ones and logarithmic among the bad ones."""
    scores = np.clip(scores, -1e300, 1e300)
    best, middle = float(scores.min()), median(scores.tolist())
    span = middle - best if middle > best else float(scores.max()) - best
    if not 0 < span < math.inf:
        return np.zeros(len(scores))
    with np.errstate(over="ignore"):
        return standard(np.log1p(np.clip((scores - best) / span, 0.0, 1e12)))


def standard(values: Array) -> Array:
    """With mean 0 and variance 1, if they vary."""
    deviation = float(values.std())
    found: Array = (values - values.mean()) / (deviation if deviation > 1e-12 else 1.0)
    return found


class Models:
    """What the trials teach of score, cost and failure."""

    def __init__(self, known: Knowledge) -> None:
        self._known, seen = known, known.seen
        self.values = warped(seen.scores)
        costs = seen.log_costs
        self._cost_mean, self._cost_scale = float(costs.mean()), max(float(costs.std()), 0.1)
        early = _latest(known.fitted_on, FIT_ROWS)
        rows = self.columns(seen.points)
        with_training = np.column_stack([rows, seen.trained])
        found = _fitted(with_training[early], warped(seen.scores[early]), OUTPUT)
        self._output = Surrogate(with_training, self.values, found)
        found = _fitted(rows[early], standard(costs[early]), COST)
        self._cost = Surrogate(rows, (costs - self._cost_mean) / self._cost_scale, found)
        self._success = self._of_success(rows) if len(known.failed) else None

    def columns(self, points: Array) -> Array:
        """What the models see of points, around the center."""
        space = self._known.space
        return space.columns(points) - space.columns(self._known.center[None, :])

    def expected(self, points: Array) -> pareto.Expected:
        """Score and cost of points, trained in full, once those under way have ended."""
        rows, pending = self.columns(points), self.columns(self._known.pending)
        mean, deviation = self._output.expect(_in_full(rows), _in_full(pending))
        return pareto.Expected(mean, deviation, self.log_cost(points))

    def score(self, points: Array) -> Array:
        """The expected scores of points, trained in full."""
        return self._output.mean(_in_full(self.columns(points)))

    def log_cost(self, points: Array) -> Array:
        """The expected logarithms of full costs."""
        found = self._cost.mean(self.columns(points)) * self._cost_scale + self._cost_mean
        return np.clip(found, -600.0, 600.0)

    def log_feasible(self, points: Array) -> Array:
        """The logarithm of the probability that the configuration does not fail."""
        if self._success is None:
            return np.zeros(len(points))
        rows = self.columns(points)
        mean, deviation = self._success.expect(rows, rows[:0])
        return log_normal_distribution(-mean / np.hypot(deviation, LABEL_DEVIATION))

    def _of_success(self, rows: Array) -> Surrogate:
        known, failed = self._known, self.columns(self._known.failed)
        found = _fitted(
            *_labelled(
                rows[_latest(known.fitted_on, SUCCESS_FIT_ROWS)],
                failed[_latest(known.failed_fitted_on, SUCCESS_FIT_ROWS)],
            ),
            SUCCESS,
        )
        return Surrogate(*_labelled(rows[-SUCCESS_ROWS:], failed[-SUCCESS_ROWS:]), found)


def _latest(of: int, most: int) -> slice:
    return slice(max(0, of - most), of)


def _labelled(good: Array, failed: Array) -> tuple[Array, Array]:
    labels = np.concatenate([-np.ones(len(good)), np.ones(len(failed))])
    return np.vstack([good, failed]), labels


def _in_full(rows: Array) -> Array:
    return np.column_stack([rows, np.zeros(len(rows))])


def _fitted(rows: Array, values: Array, priors: Priors) -> Hyperparameters:
    return fit(np.ascontiguousarray(rows), values, priors)


@dataclass(frozen=True)
class Costs:
    """Logarithms of costs: what counts from where on, up to where, and what this trial may cost."""

    floor: float
    limit: float
    top: float


def costs(known: Knowledge, models: Models, draw: float) -> Costs:
    """The costs for a trial that drew this fraction.

    Where the user has bounded the space, every cost in it counts; else the search goes upwards from
    the center, and what is much cheaper than that is nobody's aim.
    """
    cheapest = float(known.seen.log_costs.min())
    spent = known.spent
    if len(known.pending):
        spent += float(np.exp(np.minimum(models.log_cost(known.pending), 600.0)).sum())
    top = max(cheapest + math.log(SPREAD_LEAST), math.log(max(spent * known.pace, 1e-300)))
    top = min(top, math.log(known.cost_max))
    floor = -math.inf
    if not all(each.is_bounded for each in known.space.dimensions):
        floor = float(models.log_cost(known.center[None, :])[0]) - CHEAPER_CENTER
    low = min(max(cheapest, floor) - CHEAPER, top)
    return Costs(floor, low + (top - low) * draw, top)


def best_point(known: Knowledge, uniforms: Uniforms) -> Array:
    """The point to run next."""
    models = Models(known)
    within = costs(known, models, float(uniforms(1)[0]))
    # The front is of what the model makes of the trials: one lucky run does not lead.
    points = np.vstack([known.seen.points, known.pending])
    believed = models.score(points)
    log_costs = models.log_cost(points)
    log_costs[: len(known.seen.log_costs)] = known.seen.log_costs

    def gain(candidates: Array) -> Array:
        expected = models.expected(candidates)
        counted = replace(expected, log_cost=np.maximum(expected.log_cost, within.floor))
        found = pareto.log_expected_gain(counted, log_costs, believed, within.top)
        feasible = models.log_feasible(candidates)
        found = np.where(
            feasible < math.log(FEASIBLE_LEAST), feasible * 1e3 - 1e5, found + feasible
        )
        # Above the ceiling the cheapest is the best.
        over = expected.log_cost - within.limit
        gains: Array = np.where(over > 0, -1e6 - over, found)
        return gains

    leaders = _leaders(points, log_costs, believed, within.limit)
    candidates = _candidates(known, leaders, uniforms)
    gains = gain(candidates)
    chosen = candidates[np.argsort(-gains, kind="stable")[:KEPT]]
    reach = np.array(CLOSER)[np.arange(REFINED) % len(CLOSER)] * known.radius
    closer = _around(
        known.space, chosen[np.arange(REFINED) // len(CLOSER) % len(chosen)], reach, uniforms
    )
    candidates, gains = np.vstack([candidates, closer]), np.concatenate([gains, gain(closer)])
    best: Array = candidates[int(np.argmax(gains))]
    return best


def _leaders(points: Array, log_costs: Array, believed: Array, limit: float) -> Array:
    """Points that are believed to be better than everything cheaper, those below a cost first."""
    order = np.argsort(log_costs, kind="stable")
    reached = np.minimum.accumulate(believed[order])
    leads = np.concatenate([[True], reached[1:] < reached[:-1]])
    chosen = order[leads]
    below = chosen[log_costs[chosen] <= limit + 1.0]
    found: Array = points[below if len(below) else chosen[:1]][-LEADERS:]
    return found


def _candidates(known: Knowledge, leaders: Array, uniforms: Uniforms) -> Array:
    space, radius = known.space, known.radius
    around = CANDIDATES * 2 // 3
    origins = leaders[np.floor(uniforms(around) * len(leaders)).astype(int)]
    reach = np.array(REACH)[np.arange(around) % len(REACH)] * radius
    near = _around(space, origins, reach, uniforms)
    looked_at = np.vstack([known.seen.points, known.center[None, :]])
    low = np.where(np.isfinite(space.low), space.low, looked_at.min(axis=0) - radius)
    high = np.where(np.isfinite(space.high), space.high, looked_at.max(axis=0) + radius)
    far = space.drawn(low, high, uniforms(CANDIDATES - around, len(low)))
    return np.vstack([near, far])


def _around(space: Space, origins: Array, reach: Array, uniforms: Uniforms) -> Array:
    shape = origins.shape
    steps = normals(uniforms(2, *shape)) * np.maximum(reach[:, None], space.steps)
    # Half of the coordinates stay: a step in all of them at once rarely helps.
    kept = uniforms(*shape) < 0.5
    kept[np.arange(len(kept)), np.floor(uniforms(len(kept)) * shape[1]).astype(int)] = False
    return space.moved(origins, np.where(kept, 0.0, steps), uniforms(2, *shape))


def around_center(known: Knowledge, uniforms: Uniforms) -> Array:
    """A point around the center, before there is a model; a cheap one where costs are known."""
    space = known.space
    count = 64
    origins = np.repeat(known.center[None, :], count, axis=0)
    steps = normals(uniforms(2, *origins.shape)) * np.maximum(known.radius, space.steps)
    points = space.moved(origins, steps, uniforms(2, *origins.shape))
    first = 0
    if len(known.seen.points) >= 2:
        log_costs = Models(known).log_cost(points)
        fits = np.flatnonzero(log_costs <= math.log(known.cost_max))
        first = int(fits[0]) if len(fits) else int(np.argmin(log_costs))
    found: Array = points[first]
    return found
