"""Reuse: what an earlier study brings where it resembles, and costs where it misleads.

The earlier study is half as long, has other seeds, and is as a user would have run it. Pairs of
tables resemble each other as far as the ranks of 300 random configurations, trained in full, agree.
An earlier study misleads when its order is turned around, so that its worst counts as its best.
"""

import math
from functools import lru_cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scaletune.api.conditions import FINISHED, Condition
from scaletune.api.warm_start import Prior
from scaletune.core.prior import prior
from tests.bench import cells, suites

PAIRS = (
    ("alexnet_imagenet", "alexnet_imagenet"),
    ("deberta_mnli", "deberta_mnli"),
    ("lcbench_3945", "lcbench_168868"),  # .85
    ("lcbench_126026", "lcbench_189862"),  # .72
    ("lcbench_189862", "lcbench_3945"),  # .21
)
ASHA: dict[str, Any] = {"policy": {"asha": {"mode": "Stop"}}}
WORKERS, TRAININGS = 8, 4.0
WAYS = (
    "no warm start",
    *("configurations", "configurations, misleading"),
    *("observations", "observations, misleading"),
)
HEAD = ("", "studies", "regret 25 %", "50 %", "100 %")
FLOOR = 5e-3  # below which regrets count as equal, as in the other suites
Figures = dict[int, float]
Pair = tuple[str, str, Path]  # the new one's table, the earlier one's, and where tables are


def pairs(data: Path) -> list[Pair]:
    """Those whose tables are there."""
    there = {box.name for box in suites.boxes(suites.SUITES["main"], data)}
    return [(new, old, data) for new, old in PAIRS if {new, old} <= there]


def run(pair: Pair, way: str, seed: int) -> Figures:
    """The regrets of a study that begins so with what the earlier one has seen."""
    found = None if way == "no warm start" else _prior(pair, way, seed)
    box = _box(pair[0], pair[2])
    return cells.run(cells.Cell(box, ASHA, seed, WORKERS, TRAININGS, prior=found)).regrets


@lru_cache(maxsize=8)
def _box(name: str, data: Path) -> Any:
    return next(suites.boxes(suites.Suite((name,)), data))


@lru_cache(maxsize=8)
def _seen(pair: Pair, seed: int) -> Prior:
    new, old, data = pair
    begins = {**ASHA, "warmStart": [{"study": "bench", "mode": "Observations"}]}
    cell = cells.Cell(_box(old, data), ASHA, 1000 + seed, WORKERS, TRAININGS / 2)
    study, shell = cells.study(cell), cells.run(cell).shell
    ended = Condition(type=FINISHED, status="True", reason="Completed", message="")
    status = study.status.model_copy(update={"conditions": (ended,)})
    study = study.model_copy(update={"status": status})
    spec = cells.study(cells.Cell(_box(new, data), begins, seed)).spec
    return prior(spec, {"bench": (study, shell.trials.values())})


def _prior(pair: Pair, way: str, seed: int) -> Prior:
    [observed] = _seen(pair, seed).observations
    configurations = observed.configurations
    if way.endswith("misleading"):
        configurations = configurations[::-1]
        observed = observed.model_copy(update={"configurations": configurations, "failed": 0})
    if way.startswith("configurations"):
        return Prior(configurations=configurations[:3])
    return Prior(observations=(observed,))


def table(found: dict[str, list[Figures]]) -> list[list[str]]:
    """Geometric means, by way; and how many times those without a warm start they are, paired."""
    none = found[WAYS[0]]
    return [
        [way, str(len(each)), *(_cell(_logs(each, at), _logs(none, at)) for at in (25, 50, 100))]
        for way, each in found.items()
    ]


def _cell(ours: list[float], none: list[float]) -> str:
    mean = f"{math.exp(fmean(ours)):.4f}"
    if len(ours) < 2 or ours == none:
        return mean
    ratios = [one - other for one, other in zip(ours, none, strict=True)]
    error = stdev(ratios) / math.sqrt(len(ratios))
    low, middle, high = (math.exp(fmean(ratios) + each) for each in (-error, 0.0, error))
    return f"{mean}, x {middle:.2f} ({low:.2f} to {high:.2f})"


def _logs(found: list[Figures], at: int) -> list[float]:
    return [math.log(max(each[at], FLOOR)) for each in found]
