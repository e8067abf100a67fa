"""Studies, circumstances and an objective, drawn from a number: the same number, the same draw."""

import math
import random
from typing import Any

from scaletune.api.study import Study
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.simulation import Setting
from tests.core import given

CALM = Circumstances()
MODES = ("Promote", "Stop", "Promote", "Full")


def unruly(
    parameters: dict[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """Ties, zero seconds, divergence and memory that runs out."""
    luck = random.Random(f"{seed}/{until}")
    if luck.random() < 0.03:
        raise MemoryError
    value = luck.choice([0.1, 0.2, 0.3, 0.5]) + luck.choice([0, 0.1, 0.01])
    if luck.random() < 0.03:
        value = math.nan
    return {"value": value, "seconds": (until - start) * luck.choice([0, 0.5, 1, 1, 2])}


def even(
    parameters: dict[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """One second a step; the lower the learning rate, the better."""
    return {"value": parameters["learning_rate"], "seconds": until - start}


def study(number: int, mode: str | None = None) -> Study:
    """Any policy, or this one; any goal, target, sampler and number of places, some trials."""
    return given.study(
        mode=mode or MODES[number % 4],
        eta=2 + number // 4 % 3,
        most=(4, 9, 16, 27)[number // 3 % 4],
        parallelism=1 + number % 5,
        goal=("Minimize", "Maximize")[number // 5 % 2],
        target=(None, None, 0.1)[number // 2 % 3],
        budget={"trials": (3, 8, 14, 30)[number // 7 % 4]},
        sampler=({}, {"grid": {"points": 4}})[number // 11 % 2],
        confirm=(None, {"top": 2, "repeats": 2})[number // 13 % 2],
    )


def circumstances(number: int) -> Circumstances:
    """Any weather, calm included."""
    luck = random.Random(number)
    return Circumstances(
        overhead=Overhead(
            start=luck.choice([0, 1, 3]),
            resume=luck.choice([0, 1, 3]),
            pause=luck.choice([0, 0, 2, 9]),
        ),
        failures=Failures(
            mtbf=luck.choice([math.inf, math.inf, 30, 100]), repair=luck.choice([0, 5, 20])
        ),
        late_seconds=luck.choice([0, 0, 1, 5]),
        lost=luck.choice([0, 0, 0.3]),
    )


def setting(number: int, mode: str | None = None) -> Setting:
    """All of it."""
    return Setting(study(number, mode), unruly, circumstances(number))
