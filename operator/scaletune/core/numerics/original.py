"""The original's rule of CARBS, for comparison: constants where ours are fitted.

Fetterman et al. (arXiv:2306.08055) as its first implementation has it: Gaussian processes whose
hyperparameters hardly move from where they start, values as normal quantiles cut at 5.2 deviations,
a process for the front, candidates a step of one length from it, a target at a cost that is drawn,
expected improvement by at least 1, weighted by how near the front a candidate lies. Four things are
not taken over: the probability of failure takes a deviation for a deviation, the ceiling of cost
holds always, randomness is counted and not global, and everything is in 64 bits.

Outstanding points are given values drawn from their joint distribution. Values are larger when
better, here alone.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scaletune.core.numerics import pareto
from scaletune.core.numerics.acquisition import log_expected_improvement
from scaletune.core.numerics.basic_space import Space, normals
from scaletune.core.numerics.gaussian_process import (
    Array,
    Hyperparameters,
    Surrogate,
    normal_quantile,
)
from scaletune.core.numerics.normal import log_normal_distribution
from scaletune.core.numerics.pareto_search import Knowledge, Uniforms

Places = NDArray[np.intp]

LENGTH, SIGNAL, LINEAR = 0.333, 1.098, 0.905  # where 1,000 small steps take them from their start
NOISE, NOISE_SPREAD = 0.01, 0.5  # of the prior, from which each fit draws
CUT = 5.199
BETTER = 1.0  # by how much an improvement counts
PER_DIMENSION, CANDIDATES_MAX = 100, 20_000


def quantiles(values: Array) -> Array:
    """Normal quantiles by few points of the empirical distribution, cut at both ends."""
    share = np.linspace(0.0, 1.0, max(2, math.isqrt(len(values))))
    marks = np.quantile(values, share)
    up = np.interp(values, marks, share)
    down = 1 - np.interp(-values, -marks[::-1], share)
    middle = np.clip((up + down) / 2, 1e-7, 1 - 1e-7)
    found: Array = np.clip(normal_quantile(middle), -CUT, CUT)
    return found


def best_point(known: Knowledge, uniforms: Uniforms) -> Array:
    """The point to run next."""
    return _Search(known, uniforms).best()


class _Search:
    def __init__(self, known: Knowledge, uniforms: Uniforms) -> None:
        self.known, self.uniforms = known, uniforms
        seen = known.seen
        self.whole = np.flatnonzero(seen.trained == 0.0)
        self.points = seen.points[self.whole]
        self.log_costs = seen.log_costs[self.whole]
        self.values = -quantiles(seen.scores[self.whole])
        low, high = float(self.log_costs.min()), float(self.log_costs.max())
        self._middle, self._half = (low + high) / 2, max((high - low) / 2, 1e-9)
        self._cost = self._process(self.points, self.scaled(self.log_costs))
        self._output = self._with_outstanding()
        places = [tuple(point) for point in self.points]
        costs = np.exp(self.log_costs)
        found = pareto.groups(places, -self.values, costs)
        self.front = pareto.front(found, costs, cautious=True)
        self._of_front = self._front_process(self.front)

    def scaled(self, log_costs: Array) -> Array:
        """Between -1 and 1 for what was seen."""
        found: Array = (log_costs - self._middle) / self._half
        return found

    def best(self) -> Array:
        """The candidate with the greatest weighted expected improvement."""
        known, origins = self.known, self.points[[each.members[0] for each in self.front]]
        candidates, log_weights = self._candidates(origins)
        rows = self._columns(candidates)
        mean, deviation = self._output.expect(rows, rows[:0])
        log_costs = self._cost.mean(rows) * self._half + self._middle
        dear = math.log(known.cost_max)
        first, last = (math.log(self.front[i].cost) for i in (0, -1))
        drawn = first + (min(last, dear) - first) * float(self.uniforms(1)[0])
        target = np.maximum(self._front_at(log_costs), self._front_at(np.array([drawn])))
        gains = log_expected_improvement(-mean, deviation, -(target + BETTER))
        gains = gains + log_weights + self._log_feasible(rows)
        gains = np.where(log_costs < dear, gains, -1e6 - log_costs)
        found: Array = candidates[int(np.argmax(gains))]
        return found

    # ---- the processes

    def _columns(self, points: Array) -> Array:
        return self.known.space.columns(points)

    def _process(self, points: Array, values: Array) -> Surrogate:
        noise = NOISE * math.exp(NOISE_SPREAD * float(normals(self.uniforms(2, 1))[0]))
        rows = self._columns(points)
        lengths = (LENGTH,) * rows.shape[1]
        return Surrogate(rows, values, Hyperparameters(lengths, SIGNAL, noise, LINEAR, rough=True))

    def _with_outstanding(self) -> Surrogate:
        output = self._process(self.points, self.values)
        pending = self.known.pending
        if not len(pending):
            return output
        drawn = output.drawn(self._columns(pending), normals(self.uniforms(2, len(pending))))
        points = np.vstack([self.points, pending])
        return self._process(points, np.concatenate([self.values, drawn]))

    def _log_feasible(self, rows: Array) -> Array:
        failed = self.known.failed
        if not len(failed):
            return np.zeros(len(rows))
        labels = np.concatenate([-np.ones(len(self.points)), np.ones(len(failed))])
        process = self._process(np.vstack([self.points, failed]), labels)
        mean, deviation = process.expect(rows, rows[:0])
        return log_normal_distribution(-mean / deviation)

    def _front_process(self, front: Sequence[pareto.Group]) -> tuple[Array, Array]:
        """The costs of the front's members, and what predicts its value from a cost."""
        members = [member for group in front for member in group.members]
        at, values = self.scaled(self.log_costs[members]), self.values[members]
        kernel = np.exp(-0.5 * (at[:, None] - at) ** 2) + NOISE * np.eye(len(at))
        return at, np.asarray(np.linalg.solve(kernel, values), dtype=np.float64)

    def _front_at(self, log_costs: Array) -> Array:
        at, weights = self._of_front
        asked = np.clip(self.scaled(log_costs), at.min(), at.max())
        found: Array = np.exp(-0.5 * (asked[:, None] - at) ** 2) @ weights
        return found

    # ---- the candidates

    def _candidates(self, origins: Array) -> tuple[Array, Array]:
        """Candidates a step from the front, and the logarithms of how near it they are."""
        space, radius = self.known.space, self.known.radius
        size = len(space.low)
        wanted = PER_DIMENSION * size
        ends = np.isfinite(space.low) | np.isfinite(space.high)
        factor, most = 2 ** (int(ends.sum()) // 2), 2**size
        while True:
            count = min(wanted * factor, CANDIDATES_MAX)
            chosen = np.floor(self.uniforms(count) * len(origins)).astype(int)
            steps = normals(self.uniforms(2, count, size)) * radius
            raw = origins[chosen] + steps
            inside = _inside(space, raw)[:wanted]
            if len(inside) >= wanted or factor >= most or count == CANDIDATES_MAX:
                break
            factor *= 2
        if not len(inside):
            inside, raw = np.arange(len(origins), dtype=np.intp), origins
            chosen, steps = inside, np.zeros_like(origins)
        squares = ((raw[inside, None, :] - origins[None, :, :]) ** 2).sum(axis=2).min(axis=1)
        moved = self.uniforms(2, len(inside), size)
        points = space.moved(origins[chosen[inside]], steps[inside], moved)
        return points, -squares / (2 * radius**2)


def _inside(space: Space, points: Array) -> Places:
    """Which points lie within the bounds; of whole numbers the bounds belong to them."""
    room = np.where(space.steps > 0, 0.1 * space.steps, 0.0)
    outside = (points <= space.low - room) | (points >= space.high + room)
    return np.flatnonzero(~np.asarray(outside).any(axis=1))
