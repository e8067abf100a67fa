"""A guess at how a language model's validation loss falls, to try policies and budgets on.

Replace it by what you know of your own training: a formula like this one, or a table of curves
that you have recorded.
"""

import math
import random
from typing import Any

SECONDS_PER_STEP = 0.9  # with a batch of 256


def train(
    parameters: dict[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """The loss at step `until`, and the seconds from `start` to there."""
    noise = random.Random(f"{seed}/{until}").gauss(0, 0.01)
    best_rate = {"adamw": 2e-3, "adafactor": 6e-3, "muon": 1e-2}[parameters["optimizer"]]
    off = math.log(parameters["learning_rate"] / best_rate)
    if off > 3 and until > 600:
        return {"value": math.nan, "seconds": SECONDS_PER_STEP * (600 - min(start, 600))}
    tokens = until * parameters["batch_size"]
    value = 2.6 + 40 / tokens**0.28 + 0.05 * off**2 + noise
    seconds = (until - start) * SECONDS_PER_STEP * (0.3 + 0.7 * parameters["batch_size"] / 256)
    return {"value": value, "seconds": seconds}
