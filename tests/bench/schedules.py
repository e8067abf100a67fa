"""Trainings whose best settings change while they train: what population based training is for.

Unlike the tables, a training here has a state, which others can go on from. The toy is the one of
Jaderberg et al. (arXiv:1711.09846, figure 2), the noisy quadratic has the exact expected dynamics
of SGD (Zhang et al., arXiv:1907.04164), and the denoising autoencoder is trained for real. Each has
a tenth of a training as interval. Values are minimised; `score` is what the report judges by: the
value without noise, or on images that the policy was not told about.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.bench.boxes import Facts, Floats, Values

Random = np.random.Generator
Matrix = NDArray[np.float32]


class Training(Protocol):
    """One tuning problem with a state; a full training takes a second."""

    name: str
    parameters: tuple[dict[str, Any], ...]
    units: int
    facts: Facts

    def begin(self, random: Random) -> Any:
        """The state before the first unit."""

    def step(self, state: Any, values: Values, random: Random) -> tuple[Any, float]:
        """Another state after one more unit, and the value that is reported; NaN: diverged."""

    def score(self, state: Any) -> float:
        """What the state is worth."""


class Toy:
    """Two weights, each of which descends as fast as its own hyperparameter says."""

    name, units = "pbt_toy_quadratic", 50
    parameters: tuple[dict[str, Any], ...] = tuple(
        {"name": each, "float": {"min": 0.0, "max": 1.0}} for each in ("h0", "h1")
    )
    facts = Facts(best=-1.2, median=-0.39, mean_seconds=1.0)

    def begin(self, random: Random) -> Floats:
        return np.array([0.9, 0.9])

    def step(self, state: Floats, values: Values, random: Random) -> tuple[Floats, float]:
        after = state * (1 - 0.02 * np.array([values["h0"], values["h1"]])) ** 4
        return after, self.score(after)

    def score(self, state: Floats) -> float:
        return -(1.2 - float(state @ state))


class NoisyQuadratic:
    """Large rates are good early and small ones late; who looks ahead too little falls too soon."""

    name, units = "pbt_noisy_quadratic", 100
    parameters: tuple[dict[str, Any], ...] = (
        {"name": "lr", "float": {"min": 1e-3, "max": 1.9, "scale": "Log"}},
    )
    facts = Facts(best=0.0016464325, median=0.0951889220, mean_seconds=1.0)
    curvatures = 1 / np.arange(1.0, 401.0)
    variance, steps = 0.02, 40

    def begin(self, random: Random) -> Floats:
        return np.ones(400)

    def step(self, state: Floats, values: Values, random: Random) -> tuple[Floats, float]:
        rate = values["lr"]
        kept = (1 - rate * self.curvatures) ** 2
        added = rate**2 * self.curvatures * self.variance
        after = kept**self.steps * state + added * (1 - kept**self.steps) / (1 - kept)
        return after, self.score(after) * float(np.exp(0.02 * random.standard_normal()))

    def score(self, state: Floats) -> float:
        return float(0.5 * (self.curvatures @ state))


class DenoisingAutoencoder:
    """64-48-64 on 500 digits, four at a time, with fresh noise at every step."""

    name, units = "pbt_digits_dae", 40
    parameters: tuple[dict[str, Any], ...] = (
        {"name": "lr", "float": {"min": 1e-3, "max": 1.0, "scale": "Log"}},
        {"name": "one_minus_momentum", "float": {"min": 0.02, "max": 1.0, "scale": "Log"}},
        {"name": "wd", "float": {"min": 1e-7, "max": 1e-2, "scale": "Log"}},
    )
    facts = Facts(best=0.0226393957, median=0.0266363192, mean_seconds=1.0)
    batch = 4

    def __init__(self, data: Path) -> None:
        with np.load(data / "digits.npz") as arrays:
            images = arrays["X"].astype(float)
        random = np.random.RandomState(0)
        self._images: Matrix = (images[random.permutation(len(images))] / 16).astype(np.float32)
        self._noise: Matrix = (0.3 * random.randn(*images.shape)).astype(np.float32)

    def begin(self, random: Random) -> tuple[list[Matrix], list[Matrix]]:
        shapes = [(64, 48), (48,), (48, 64), (64,)]
        spread = [64**-0.5, 0, 48**-0.5, 0]
        weights = [
            (random.standard_normal(shape) * each).astype(np.float32)
            for shape, each in zip(shapes, spread, strict=True)
        ]
        return weights, [np.zeros_like(each) for each in weights]

    def step(self, state: Any, values: Values, random: Random) -> tuple[Any, float]:
        weights, momenta = ([each.copy() for each in part] for part in state)
        images = self._images[:500][random.permutation(500)]
        noisy = images + (0.3 * random.standard_normal(images.shape)).astype(np.float32)
        rate, decay = np.float32(values["lr"]), np.float32(values["wd"])
        kept = np.float32(1 - values["one_minus_momentum"])
        with np.errstate(all="ignore"):
            for first in range(0, 500, self.batch):
                part = slice(first, first + self.batch)
                gradients = self._gradients(weights, images[part], noisy[part], decay)
                for at, gradient in enumerate(gradients):
                    momenta[at] = kept * momenta[at] + gradient
                    weights[at] = weights[at] - rate * momenta[at]
            value = self._error(weights, slice(1000, 1200))
        return (weights, momenta), value if np.isfinite(value) and value < 5 else np.nan

    def score(self, state: Any) -> float:
        return self._error(state[0], slice(1200, None))

    def _gradients(
        self, weights: list[Matrix], images: Matrix, noisy: Matrix, decay: np.float32
    ) -> Iterator[Matrix]:
        into, into_bias, out, out_bias = weights
        hidden = np.tanh(noisy @ into + into_bias)
        error = (hidden @ out + out_bias - images) * np.float32(2 / self.batch)
        before = (error @ out.T) * (1 - hidden * hidden)
        return iter(
            (
                noisy.T @ before + decay * into,
                before.sum(0),
                hidden.T @ error + decay * out,
                error.sum(0),
            )
        )

    def _error(self, weights: list[Matrix], part: slice) -> float:
        into, into_bias, out, out_bias = weights
        images, noise = self._images[part], self._noise[part]
        restored = np.tanh((images + noise) @ into + into_bias) @ out + out_bias
        return float(np.mean((restored - images) ** 2))


def trainings(data: Path) -> list[Training]:
    """Those that there are data for; two are formulas."""
    found: list[Training] = [Toy(), NoisyQuadratic()]
    if (data / "digits.npz").is_file():
        found.append(DenoisingAutoencoder(data))
    return found
