"""Basic space: coordinates in which a step of one is far for every parameter alike.

A value is measured on its scale (its logarithm to the base 10, its logit, or itself) and divided by
the width of a step. Whole numbers are rounded in their own units, half to even, so that a model
sees what will be run. A list of values is the whole numbers of its places; where the values have no
order, the model sees one column for each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaletune.core.numerics.gaussian_process import Array

APART = 0.7  # how far any two values without an order are from each other


@dataclass(frozen=True)
class Dimension:
    """One parameter."""

    scale: Literal["Linear", "Log", "Logit"] = "Linear"
    width: float = 1.0
    """width is how long a step is, on the scale."""
    whole: float = 0.0
    """whole is what values are multiples of; 0 for real ones."""
    low: float = -np.inf
    high: float = np.inf
    unordered: int = 0
    """unordered is how many values there are, if they have no order."""

    def basic(self, values: Array) -> Array:
        """Where values lie."""
        with np.errstate(divide="ignore"):
            if self.scale == "Log":
                values = np.log10(values)
            elif self.scale == "Logit":
                values = np.log10(values) - np.log10(1 - values)
        found: Array = values / self.width
        return found

    def values(self, at: Array) -> Array:
        """The values at coordinates, within the bounds and rounded."""
        found = at * self.width
        if self.scale == "Log":
            found = 10.0 ** np.clip(found, -300, 300)
        elif self.scale == "Logit":
            found = 1 / (1 + 10.0 ** np.clip(-found, -300, 300))
        if self.whole:
            found = np.round(found / self.whole) * self.whole
        return np.clip(found, self.low, self.high)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest coordinate."""
        low, high = self.basic(np.array([self.low, self.high]).clip(*self._domain))
        return float(low), float(high)

    @property
    def is_bounded(self) -> bool:
        """Whether the user has said where it ends."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def step(self) -> float:
        """How far a neighbour is, at least: a smaller step would be rounded to nothing."""
        if not self.whole:
            return 0.0
        if self.scale == "Linear" or self.low <= 0:
            return float(self.whole / self.width)
        return float(np.log10(1 + self.whole / self.low) / self.width / 2)

    @property
    def _domain(self) -> tuple[float, float]:
        """Where the scale is defined."""
        return {"Log": (0.0, np.inf), "Logit": (0.0, 1.0)}.get(self.scale, (-np.inf, np.inf))


class Space:
    """Some dimensions."""

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)
        bounds = np.array([each.bounds for each in dimensions])
        self.low, self.high = bounds[:, 0], bounds[:, 1]
        self.steps = np.array([each.step for each in dimensions])
        self.unordered = np.array([each.unordered for each in dimensions])

    def snapped(self, points: Array) -> Array:
        """Points as they would be run."""
        each = zip(self.dimensions, points.T, strict=True)
        return np.column_stack([one.basic(one.values(at)) for one, at in each])

    def columns(self, points: Array) -> Array:
        """What a model sees of points."""
        found = []
        for one, at in zip(self.dimensions, points.T, strict=True):
            if one.unordered:
                place = np.round(one.values(at)).astype(int)
                found.append(np.eye(one.unordered)[place] * APART)
            else:
                found.append(at[:, None])
        return np.hstack(found)

    def moved(self, points: Array, steps: Array, uniforms: Array) -> Array:
        """Points after normal steps of these lengths, in the space; choices change at random.

        `uniforms` has two for each coordinate: whether a choice changes, and to which.
        """
        changes, anew = uniforms
        found = points + steps
        for place in np.flatnonzero(self.unordered):
            one = self.dimensions[place]
            taken = np.floor(anew[:, place] * one.unordered) / one.width
            kept = changes[:, place] >= np.abs(steps[:, place]).clip(0.02, 0.5)
            found[:, place] = np.where(kept, points[:, place], taken)
        return self.snapped(np.clip(found, self.low, self.high))

    def drawn(self, low: Array, high: Array, uniforms: Array) -> Array:
        """Points anywhere between these corners."""
        return self.snapped(low + (high - low) * uniforms)


def normals(uniforms: Array) -> Array:
    """Standard normal numbers, from two uniform ones each (Box and Muller)."""
    radius, angle = uniforms
    found: Array = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return found
