"""law_lm: the loss and the cost of training a language model, as a formula.

The loss of N parameters on D tokens is Chinchilla's third approach (Hoffmann et al.,
arXiv:2203.15556). Around it lies a bowl whose bottom is Step Law's learning rate and batch size
(Li et al., arXiv:2503.04715), with a weight decay that belongs to the learning rate and a warm-up
of 5 %; a learning rate far above the optimum diverges, later with a long warm-up. The cost is 6ND
at 4e14 FLOP/s, more for small batches. Of all studies on it the truth is known: along the best
losses N grows as C^.4516 and D as C^.5484.
"""

import math

import numpy as np

from scaletune.core.seeds import stream
from tests.bench.boxes import Facts, Floats, Values

BATCH_TOKENS = 2048  # of one sequence
NOISE = 0.003


class Law:
    """The box."""

    name, units = "law_lm", 1
    parameters = (
        {"name": "N", "float": {"min": 5e7, "max": 1e9, "scale": "Log"}},
        {"name": "D", "float": {"min": 1e9, "max": 1e11, "scale": "Log"}},
        {"name": "lr", "float": {"min": 1e-4, "max": 3e-2, "scale": "Log"}},
        {"name": "bs", "int": {"min": 16, "max": 2048, "scale": "Log"}},
        {"name": "wd", "float": {"min": 1e-3, "max": 1.0, "scale": "Log"}},
        {"name": "warmup", "float": {"min": 1e-3, "max": 0.3, "scale": "Log"}},
    )
    facts = Facts(best=2.3796, median=3.1864, mean_seconds=132273.0)

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """One unit: the whole training, or none of it and 30 % of its time."""
        seconds = cost(values)
        if diverges(values):
            return np.zeros(0), np.array([seconds * 0.3])
        noise = NOISE * stream(seed, 0, "noise of law_lm").gauss()
        return np.array([loss(values) + noise]), np.array([seconds])


def best_rate(values: Values) -> float:
    """Step Law's learning rate."""
    return float(1.79 * values["N"] ** -0.713 * values["D"] ** 0.307)


def best_batch(values: Values) -> int:
    """Step Law's batch size, in sequences."""
    return int(min(max(round(0.58 * values["D"] ** 0.571 / BATCH_TOKENS), 16), 2048))


def loss(values: Values) -> float:
    """The loss at the end, without noise."""
    rate = math.log(values["lr"] / best_rate(values))
    batch = math.log(values["bs"] / best_batch(values))
    decay = math.log(values["wd"] / (0.1 * (2e-3 / values["lr"]) ** 0.5))
    warm_up = math.log(values["warmup"] / 0.05)
    bowl = 0.03 * rate**2 + 0.02 * batch**2 - 0.025 * rate * batch + 0.03 * max(rate, 0) ** 3
    bowl += 0.006 * decay**2 + 0.003 * warm_up**2 * (1 if warm_up < 0 else 0.5)
    return float(1.69 + 406.4 / values["N"] ** 0.34 + 410.7 / values["D"] ** 0.28 + bowl)


def cost(values: Values) -> float:
    """Seconds of the training."""
    return float(6 * values["N"] * values["D"] / 4e14 * (1 + 24.0 / values["bs"]))


def diverges(values: Values) -> bool:
    """Whether the learning rate is too high for this warm-up."""
    return bool(values["lr"] > best_rate(values) * (6.0 if values["warmup"] < 0.02 else 12.0))
