"""Lessons: what earlier studies lead to expect of a point, and how far that is to be trusted.

Each earlier study has a model of its own, over the parameters that it searched, of the ranks of
what it has seen. A new study's model is of what its own values differ from the sum of these, each
weighted by how well it has foretold them (as in stacking, e.g. Vizier's transfer learning,
Golovin et al. 2017): so a misleading study is forgotten after a few trials, and no values of
different studies are ever compared.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaletune.core.numerics.gaussian_process import Array, Surrogate, fit, normal_scores

TRUST_SPREAD = 0.5  # of a weight, before anything was foretold

Places = NDArray[np.intp]
View = Callable[[Array, Places], Array]  # what a model sees of points, of the parameters at places


class Lesson:
    """What one earlier study leads to expect, in normal scores of its ranks."""

    def __init__(self, view: View, points: Array, failed: int) -> None:
        """Points, the best first, are nan where the study did not search."""
        self._view = view
        self._places = np.flatnonzero(~np.isnan(points[0]))
        ranks = np.minimum(np.arange(len(points)), len(points) - max(1, failed)).astype(float)
        rows, values = np.ascontiguousarray(view(points, self._places)), normal_scores(ranks)
        self._surrogate = Surrogate(rows, values, fit(rows, values))

    def expected(self, points: Array) -> Array:
        """Smaller is better."""
        return self._surrogate.mean(self._view(points, self._places))


class Expectation:
    """What all lessons together lead to expect, trusted as far as they agree with what was seen."""

    def __init__(
        self, lessons: Sequence[Lesson], points: Array, values: Array, alike: NDArray[Any]
    ) -> None:
        """Only values whose `alike` is the same, such as how far they are of, are compared."""
        self._lessons = lessons
        self.trust, self._middle = np.zeros(0), 0.0
        if lessons:
            foretold = self._each(points)
            self.trust = _trust(foretold, values, alike)
            self._middle = float((foretold @ self.trust).mean())

    def of(self, points: Array) -> Array:
        """How much is expected of points, 0 in the middle of what was seen; smaller is better."""
        if not self._lessons:
            return np.zeros(len(points))
        found: Array = self._each(points) @ self.trust - self._middle
        return found

    def _each(self, points: Array) -> Array:
        return np.column_stack([lesson.expected(points) for lesson in self._lessons])


def _trust(foretold: Array, values: Array, alike: NDArray[Any]) -> Array:
    """The weight of each lesson: one in all at first, then as a regression of the values says."""
    count = foretold.shape[1]
    precision = TRUST_SPREAD**-2
    by, of = _within(foretold, alike), _within(values[:, None], alike)[:, 0]
    known = by.T @ by + precision * np.eye(count)
    found: Array = np.linalg.solve(known, by.T @ of + precision / count * np.ones(count))
    # What foretells the opposite may do so by chance; nothing is learned from it.
    return np.maximum(found, 0.0)


def _within(table: Array, alike: NDArray[Any]) -> Array:
    """How far each row is from the mean of those like it."""
    found = table.astype(float)
    for kind in np.unique(alike):
        found[alike == kind] -= found[alike == kind].mean(axis=0)
    return found
