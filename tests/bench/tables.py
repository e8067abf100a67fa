"""Tables of real trainings: a configuration does what the most similar recorded one did.

Similarity is measured in the unit cube with a weight for each parameter, fitted beforehand. With
`smooth` a configuration does what the eight most similar ones did on average, weighted by the
inverse fourth power of their distance: a gain that the flat cells of the nearest neighbour only
pretend does not survive this.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.boxes import Facts, Floats, Values

NEIGHBOURS = 8


class Table:
    """A box of recorded trainings."""

    def __init__(self, folder: Path, name: str, meta: Mapping[str, Any], *, smooth: bool) -> None:
        self.name = f"{name}~" if smooth else name
        self.smooth, self.units = smooth, int(meta["R"])
        self._axes = {each: Axis(space) for each, space in meta["space"].items()}
        self.parameters = tuple(axis.parameter(each) for each, axis in self._axes.items())
        with np.load(folder / f"{name}.npz") as table:
            self._places = table["X"].astype(float) * table["w"]
            self._weights = table["w"].astype(float)
            self._values = table["vals"].astype(float)
            self._seconds = table["cost"].astype(float)
            self._lengths = table["length"].astype(int)
        self.facts = self._facts()

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """The curve of the nearest training, or the mean of the nearest ones."""
        place = np.array([axis.fraction(values[each]) for each, axis in self._axes.items()])
        distances = ((self._places - place * self._weights) ** 2).sum(axis=1)
        if not self.smooth:
            return self._row(int(distances.argmin()))
        nearest = np.argpartition(distances, NEIGHBOURS)[:NEIGHBOURS]
        weights = 1 / (distances[nearest] + 1e-9) ** 2
        weights /= weights.sum()
        whole = self._lengths[nearest] == self.units
        if weights[whole].sum() < 0.5:
            return self._row(int(nearest[np.argmax(np.where(whole, 0, weights))]))
        weights, nearest = weights[whole] / weights[whole].sum(), nearest[whole]
        return weights @ self._values[nearest], weights @ self._seconds[nearest]

    def _row(self, row: int) -> tuple[Floats, Floats]:
        length = int(self._lengths[row])
        return self._values[row, :length], self._seconds[row, : min(length + 1, self.units)]

    def _facts(self) -> Facts:
        within = np.arange(self.units) < self._lengths[:, None]
        whole = self._lengths == self.units
        return Facts(
            best=float(np.where(within, self._values, np.inf).min()),
            median=float(np.median(self._values[whole, -1])),
            mean_seconds=float(self._seconds[whole, -1].mean()),
        )


class Axis:
    """One parameter of a table, on its scale."""

    def __init__(self, space: Mapping[str, Any]) -> None:
        self.kind, self.choices = space["kind"], space.get("choices")
        self.low: float | None = space.get("low")
        self.high: float | None = space.get("high")
        self.log = bool(space.get("log"))

    def parameter(self, name: str) -> dict[str, Any]:
        """As a Study has it."""
        if self.choices is not None:
            kind = "int" if all(isinstance(each, int) for each in self.choices) else "choice"
            return {"name": name, kind: {"values": list(self.choices)}}
        space = {"min": self.low, "max": self.high, "scale": "Log" if self.log else "Linear"}
        return {"name": name, self.kind: space}

    def fraction(self, value: Any) -> float:
        """Where a value lies between the ends."""
        if self.choices is not None:
            return float(self.choices.index(value)) / max(1, len(self.choices) - 1)
        assert self.low is not None
        assert self.high is not None
        low, high, at = float(self.low), float(self.high), float(value)
        at = min(max(at, low), high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)
