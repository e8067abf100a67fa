"""Front laws: along which line the best points move as costs grow, and how sure that is.

The lowest points of the front itself are lucky ones, and few. So all points are asked: a Gaussian
process learns score and cost from them, and at each of some costs its best point is looked for
among all that are predicted to cost just that. A straight line through these, each coordinate over
the logarithm of cost, is the law.

How sure it is has two parts: the same with trials drawn anew, with replacement (the bootstrap), and
how far the path is from being straight, as if it had no more than three points that are independent
of each other, smooth as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaletune.core.numerics.basic_space import Space, normals
from scaletune.core.numerics.gaussian_process import Array, Surrogate, fit
from scaletune.core.numerics.pareto_search import COST, OUTPUT, standard, warped

COSTS = 9  # at which the best point is looked for
FIRST_ROUNDS, ROUNDS, CANDIDATES, ELITE = 14, 8, 32, 6
WIDTH, NARROWER = 0.3, 0.6  # of a round's steps at first, and at least of the last round's
DOUBT = 0.5  # how many standard deviations count against a point
MISSED = 0.02  # by how much a cost may be missed, in logarithms
RESAMPLED = 40
WIDER = 1.6  # than resampling: the models' length-scales stay, and smooth models err together
FIT_ROWS = 200
NEWTON = 2
SURE = 1.645  # standard deviations to both sides that hold 90 % of a normal distribution

Uniforms = Callable[..., Array]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Observed:
    """Trials that were trained in full: points, scores (smaller is better), logs of costs."""

    points: Array
    scores: Array
    log_costs: Array


@dataclass(frozen=True)
class Line:
    """Coordinates over the logarithm of cost: at a middle cost, and how they change from there."""

    middle: float
    points: Array
    slopes: Array
    resampled: tuple[Array, Array]
    """resampled are the points and the slopes of the bootstrap, one row for each."""
    bent: Array
    """bent is the standard deviation of a slope that comes from the path not being straight."""
    fitted: Array
    """fitted is the part of the path's variance that the line explains."""

    def at(self, log_cost: float) -> tuple[Array, Array]:
        """The coordinates at a cost, and their standard deviations."""
        away = log_cost - self.middle
        points, slopes = self.resampled
        deviation = np.hypot(WIDER * (points + slopes * away).std(axis=0), away * self.bent)
        return self.points + self.slopes * away, deviation

    @property
    def deviations(self) -> Array:
        """The standard deviations of the slopes."""
        found: Array = np.hypot(WIDER * self.resampled[1].std(axis=0), self.bent)
        return found


class Landscape:
    """Score and cost over the space, as the trials show them."""

    def __init__(self, space: Space, seen: Observed) -> None:
        self.space, self.seen = space, seen
        self._center = space.columns(seen.points.mean(axis=0)[None, :])
        self.values = warped(seen.scores)
        self._rows = self._columns(seen.points)
        latest = slice(max(0, len(self._rows) - FIT_ROWS), len(self._rows))
        chosen = np.ascontiguousarray(self._rows[latest])
        self._found = fit(chosen, self.values[latest], OUTPUT)
        self._cost_mean = float(seen.log_costs.mean())
        self._cost_scale = max(float(seen.log_costs.std()), 1e-3)
        scaled = standard(seen.log_costs)
        self._cost = Surrogate(self._rows, scaled, fit(chosen, scaled[latest], COST))
        self._slopes = self._slopes_of_cost()

    def _columns(self, points: Array) -> Array:
        return self.space.columns(points) - self._center

    def _slopes_of_cost(self) -> Array:
        """How the logarithm of cost changes with each coordinate that has an order."""
        ordered = self.space.unordered == 0
        points = self.seen.points[:, ordered]
        slopes = np.zeros(len(ordered))
        off = points - points.mean(axis=0)
        costs = self.seen.log_costs - self._cost_mean
        slopes[ordered] = np.linalg.lstsq(off, costs, rcond=1e-6)[0]
        return slopes

    def log_cost(self, points: Array) -> Array:
        """Predicted logarithms of costs."""
        return self._cost.mean(self._columns(points)) * self._cost_scale + self._cost_mean

    def score(self, drawn: Counts) -> Callable[[Array], Array]:
        """What is to be minimised, when each trial was drawn so many times."""
        chosen = np.repeat(np.arange(len(drawn)), drawn)
        surrogate = Surrogate(self._rows[chosen], self.values[chosen], self._found)

        def score(points: Array) -> Array:
            rows = self._columns(points)
            mean, deviation = surrogate.expect(rows, rows[:0])
            return mean + DOUBT * deviation

        return score

    def at_cost(self, points: Array, log_costs: Array) -> Array:
        """Points moved along the slope of cost until they are predicted to cost this."""
        square = float(self._slopes @ self._slopes)
        for _ in range(NEWTON if square > 1e-9 else 0):
            off = np.clip(log_costs - self.log_cost(points), -3.0, 3.0)
            moved = points + off[:, None] * self._slopes / square
            points = np.clip(moved, self.space.low, self.space.high)
        return points

    def starts(self, log_costs: Array) -> Array:
        """The best point that was seen near each cost; choices as most of them have them."""
        near = np.abs(self.seen.log_costs - log_costs[:, None])
        reach = np.maximum(np.ptp(log_costs) / 4, near.min(axis=1, keepdims=True))
        best = np.where(near <= reach, self.values, np.inf).argmin(axis=1)
        points: Array = self.seen.points[best].copy()
        for place in np.flatnonzero(self.space.unordered):
            values, counts = np.unique(points[:, place], return_counts=True)
            points[:, place] = values[counts.argmax()]
        return points


def path(
    landscape: Landscape,
    drawn: Counts,
    log_costs: Array,
    begin: tuple[Array, int],
    uniforms: Uniforms,
) -> Array:
    """The best points at these costs, by the cross-entropy method from where it begins."""
    middle, rounds = begin
    space, score, shape = landscape.space, landscape.score(drawn), middle.shape
    width = np.where(space.unordered == 0, WIDTH, 0.0) * np.ones(shape)
    costs = np.repeat(log_costs, CANDIDATES)
    for _ in range(rounds):
        steps = normals(uniforms(2, shape[0], CANDIDATES, shape[1])) * width[:, None, :]
        points = (middle[:, None, :] + steps).reshape(-1, shape[1])
        points = landscape.at_cost(np.clip(points, space.low, space.high), costs)
        missed = np.abs(landscape.log_cost(points) - costs)
        scores = score(points) + 10 * np.maximum(missed - MISSED, 0.0)
        best = np.argsort(scores.reshape(-1, CANDIDATES), axis=1, kind="stable")[:, :ELITE]
        each = points.reshape(-1, CANDIDATES, shape[1])
        elite = np.take_along_axis(each, best[:, :, None], axis=1)
        middle, width = elite.mean(axis=1), np.maximum(elite.std(axis=1), NARROWER * width)
    return middle


def line(landscape: Landscape, log_costs: Array, uniforms: Uniforms) -> Line:
    """The law through the best points at these costs."""
    count = len(landscape.values)
    every = np.ones(count, dtype=np.int64)
    begin = landscape.starts(log_costs), FIRST_ROUNDS
    found = path(landscape, every, log_costs, begin, uniforms)
    points, slopes = _straight(log_costs, found)
    again = []
    for _ in range(RESAMPLED):
        drawn = np.bincount((uniforms(count) * count).astype(np.int64), minlength=count)
        begin = landscape.at_cost(found, log_costs), ROUNDS
        again.append(
            _straight(
                log_costs, path(landscape, drawn.astype(np.int64), log_costs, begin, uniforms)
            )
        )
    at = (log_costs - log_costs.mean())[:, None]
    left = ((found - points - at * slopes) ** 2).sum(axis=0)
    whole = ((found - points) ** 2).sum(axis=0)
    return Line(
        middle=float(log_costs.mean()),
        points=points,
        slopes=slopes,
        resampled=(np.array([p for p, _ in again]), np.array([s for _, s in again])),
        bent=np.sqrt(left / (at**2).sum()),
        fitted=1 - left / np.maximum(whole, 1e-12),
    )


def _straight(log_costs: Array, points: Array) -> tuple[Array, Array]:
    """Coordinates in the middle, and slopes."""
    at = log_costs - log_costs.mean()
    middle: Array = points.mean(axis=0)
    slopes: Array = at @ (points - middle) / (at @ at)
    return middle, slopes
