"""Planted: trainings whose scaling laws are known, to be found again.

The loss of N parameters on D tokens is E + A/N^alpha + B/D^beta, as Chinchilla's (Hoffmann et al.,
arXiv:2203.15556), with a bowl around a learning rate that falls as a power of N, and one around a
weight decay. The cost is 6ND. Along the best losses N grows as C^(beta / (alpha + beta)), D as
C^(alpha / (alpha + beta)), and the learning rate as C^(-fall beta / (alpha + beta)).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaletune.core.seeds import stream
from tests.bench.boxes import Facts, Floats, Values

N, D, RATE, DECAY = 1e7, 2e8, 3e-3, 0.1  # where the front begins

PARAMETERS: tuple[dict[str, Any], ...] = (
    {"name": "N", "int": {"min": 10**6, "max": 10**10, "scale": "Log", "center": 10**7}},
    {"name": "D", "int": {"min": 10**7, "max": 10**12, "scale": "Log", "center": 10**8}},
    {"name": "lr", "float": {"min": 1e-5, "max": 1e-1, "scale": "Log", "center": 1e-3}},
    {"name": "wd", "float": {"min": 1e-3, "max": 1.0, "scale": "Log"}},
)


@dataclass(frozen=True)
class Planted:
    """The box."""

    alpha: float
    beta: float
    fall: float = 0.5
    noise: float = 0.005

    units = 1
    facts = Facts(best=2.0, median=4.0, mean_seconds=1e5)
    parameters = PARAMETERS

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return f"planted_{self.exponents['N']:.2f}"

    @property
    def exponents(self) -> dict[str, float]:
        """The truth, by parameter."""
        of_size = self.beta / (self.alpha + self.beta)
        return {"N": of_size, "D": 1 - of_size, "lr": -self.fall * of_size, "wd": 0.0}

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """One unit: the whole training."""
        noise = self.noise * stream(seed, 0, "noise of a planted law").gauss()
        return np.array([self.loss(values) + noise]), np.array([cost(values)])

    def loss(self, values: Values) -> float:
        """The loss at the end, without noise."""
        size, tokens = values["N"] / N, values["D"] / D
        rate = math.log(values["lr"] / (RATE * size**-self.fall))
        decay = math.log(values["wd"] / DECAY)
        bowls = 0.03 * rate**2 + 0.006 * decay**2
        return float(2 + size**-self.alpha + self.alpha / self.beta * tokens**-self.beta + bowls)


def cost(values: Values) -> float:
    """Seconds of the training."""
    return float(6 * values["N"] * values["D"] / 1e13)
