"""The `pareto` suite: how good a front of loss over cost is found on law_lm, at equal compute.

Hypervolume is the area between the front and a loss of 3.6, over the logarithm of cost up to that
of the largest run, divided by the width of that axis; the best to be had is .594. It is taken of
the runs that had ended when their cost, summed in the order of their ends, was 6, 12 and 24 runs of
average cost, failed ones included. Four run at once, and no study has more than 160.
"""

import csv
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scaletune.api.study import Study
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.bench.law import Law, cost

HEAD = ("", "studies", "6 runs", "12 runs", "24 runs", "trials", "CPU ms a trial")
RUNS = (6, 12, 24)
WORST, MOST, COMPUTE = 3.6, 160, 32
LEAST, LARGEST = (cost({"N": n, "D": d, "bs": 256}) for n, d in ((5e7, 1e9), (1e9, 1e11)))
POLICIES: dict[str, dict[str, Any]] = {
    "scaletune, carbs": {"policy": {"carbs": {}}},
    "scaletune, random": {"sampler": {"random": {}}},
}

Figures = dict[str, float]


def run(policy: Mapping[str, Any], seed: int) -> Figures:
    """One study, and what it found for 6, 12 and 24 runs."""
    began = time.process_time()
    shell = simulate(Setting(_study(policy), objective, Circumstances()), seed)
    milliseconds = 1e3 * (time.process_time() - began) / len(shell.trials)
    ended = sorted(_ended(shell))
    sums = accumulate(seconds for _, seconds, _ in ended)
    spent = [each / Law.facts.mean_seconds for each in sums]
    found = {
        f"hv{runs}": hypervolume(
            (seconds, loss)
            for (_, seconds, loss), so_far in zip(ended, spent, strict=True)
            if so_far <= runs
        )
        for runs in RUNS
    }
    return {**found, "trials": len(shell.trials), "suggest_cpu_ms": milliseconds}


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """The area under (cost, loss), as the module says."""
    right, best, area = math.log10(LARGEST), WORST, 0.0
    for seconds, loss in sorted((max(seconds, LEAST), loss) for seconds, loss in points):
        if loss < best and seconds <= LARGEST:
            area += (right - math.log10(seconds)) * (best - loss)
            best = loss
    return area / (right - math.log10(LEAST))


def _study(policy: Mapping[str, Any]) -> Study:
    spec = {
        "parallelism": 4,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": list(Law.parameters),
        "training": {"unit": "Step", "max": 1},
        # More than is counted: near its end a budget starts only what it can pay for.
        "budget": {"trials": MOST, "gpuHours": COMPUTE * Law.facts.mean_seconds / 3600},
        "template": {"pod": {}},
        **policy,
    }
    return Study.model_validate({"metadata": {"name": "bench"}, "spec": spec})


def objective(
    parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    values, seconds = Law().curve(parameters, seed)
    return {"value": float(values[0]) if len(values) else math.nan, "seconds": float(seconds[0])}


def _ended(shell: Shell) -> Iterator[tuple[float, float, float]]:
    """(when, cost, loss) of every run."""
    at = {line["trial"]: line["at"] for line in shell.lines if "step" in line or "failure" in line}
    for trial in shell.trials.values():
        for record in trial.status.milestones:
            loss = math.inf if record.value is None else record.value
            yield at[trial.index], record.device_seconds, loss


def read(path: Path) -> dict[str, list[Figures]]:
    """The peers' recorded results."""
    found: dict[str, list[Figures]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            names = (*(f"hv{runs}" for runs in RUNS), "trials", "suggest_cpu_ms")
            figures = {name: float(row[name]) for name in names if row[name]}
            found.setdefault(row["peer"], []).append(figures)
    return found


def table(rows: Mapping[str, Sequence[Figures]]) -> list[list[str]]:
    """The lines of the table, the best at 6 runs first; a peer stopped earlier where it has '-'."""
    ordered = sorted(rows, key=lambda name: -fmean(each["hv6"] for each in rows[name]))
    return [[name, str(len(rows[name])), *map(str, _cells(rows[name]))] for name in ordered]


def _cells(studies: Sequence[Figures]) -> Iterator[str]:
    for name in (f"hv{runs}" for runs in RUNS):
        known = [each[name] for each in studies if name in each]
        error = stdev(known) / math.sqrt(len(known)) if len(known) > 1 else 0.0
        yield f"{fmean(known):.4f} ± {error:.4f}" if known else "-"
    yield f"{fmean(each['trials'] for each in studies):.0f}"
    yield f"{fmean(each['suggest_cpu_ms'] for each in studies):.1f}"
