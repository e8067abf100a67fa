"""The learning rate over time: linear warm-up, then constant, linear or cosine.

A pure function of the step, so that a resumed trial needs no state for it. The horizon is the full
training, never the next milestone: a trial that is paused early must not have been cooled down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch.optim import Optimizer

SHAPES = ("constant", "linear", "cosine")


def factor(
    step: int, *, warm_up: int, steps: int, shape: str = "cosine", floor: float = 0.1
) -> float:
    """What the learning rate is multiplied by at `step` (from 1) of `steps`."""
    if step <= warm_up:
        return step / max(1, warm_up)
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    if shape == "constant":
        return 1.0
    if shape == "linear":
        return 1.0 - (1.0 - floor) * progress
    if shape == "cosine":
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
    raise ValueError(f"there is no schedule {shape!r}; choose one of {', '.join(SHAPES)}")


def set_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
