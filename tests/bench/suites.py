"""Suites: which boxes, how many workers, how much budget; and where the boxes come from."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.boxes import Box, Facts
from tests.bench.centers import GUESSES, Guess
from tests.bench.lcbench import LcBench
from tests.bench.tables import Table

HERE = Path(__file__).parent
DATA, REFERENCE = HERE / "data", HERE / "reference"
_LCBENCH = ("lcbench_3945", "lcbench_126026", "lcbench_168868", "lcbench_189862")
_TASKSET = (
    "taskset_patch32_LSTM128_bs128",
    "taskset_patch32_IRNN64_relu_avg_bs128",
    "taskset_patch128_LSTM128_bs64",
    "taskset_patch32_VRNN64_tanh_avg_bs128",
)


@dataclass(frozen=True)
class Suite:
    """Some boxes, each with these workers and budgets."""

    boxes: tuple[str, ...]
    budgets: tuple[tuple[int, float], ...] = ((16, 4.0),)
    """budgets are (workers, full trainings that each has time for)."""
    mtbf: float = math.inf
    guesses: tuple[Guess, ...] = ()
    """guesses are what users know about each box; every study runs without one as well."""


_MAIN = (*_LCBENCH, *_TASKSET, "alexnet_imagenet", "deberta_mnli")
SUITES = {
    "main": Suite(_MAIN),
    "centers": Suite(_MAIN, guesses=GUESSES),
    "smooth": Suite((f"{_TASKSET[0]}~", "alexnet_imagenet~", "deberta_mnli~")),
    "failures": Suite(("lcbench_3945", "alexnet_imagenet", "deberta_mnli"), mtbf=1.0),
    "scale": Suite(
        ("lcbench_3945", _TASKSET[0], "alexnet_imagenet", "deberta_mnli"),
        budgets=((4, 8.0), (16, 4.0), (64, 2.0), (256, 1.0)),
    ),
}


def boxes(suite: Suite, data: Path) -> Iterator[Box]:
    """Those boxes of a suite that the data have."""
    meta: dict[str, Any] = json.loads((data / "meta.json").read_text(encoding="utf-8"))
    for name in suite.boxes:
        kind, _, task = name.partition("_")
        table = name.removesuffix("~")
        if kind == "lcbench" and task in meta.get("lcbench", {}).get("stats", {}):
            yield LcBench(data, task, Facts(*meta["lcbench"]["stats"][task]))
        elif table in meta:
            yield Table(data, table, meta[table], smooth=name.endswith("~"))
