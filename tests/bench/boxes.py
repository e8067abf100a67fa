"""Boxes: recorded or fitted trainings that a policy can be measured on without training anything.

A box says what a configuration would report and how long it would take, and, for the report alone,
how good the best in it is. A policy never sees a box: it sees the Study that `study` makes, which
holds what a user would write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = Mapping[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What the report needs to know of a box."""

    best: float
    """best value in the box."""
    median: float
    """median value of a random configuration, trained in full."""
    mean_seconds: float
    """seconds of a full training, on average."""

    def regret(self, value: float) -> float:
        """0 for the best in the box, 1 for a random configuration trained in full, at most 2."""
        return min(2.0, (value - self.best) / (self.median - self.best))


class Box(Protocol):
    """One tuning problem, to be minimised."""

    name: str
    parameters: tuple[dict[str, Any], ...]
    """parameters as a Study has them."""
    units: int
    """units of a full training."""
    facts: Facts

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """The value after each unit, and the seconds from the start until then.

        Fewer values than units: the training has diverged after the last one.
        """
