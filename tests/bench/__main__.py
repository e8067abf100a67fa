"""The benchmark: `python -m tests.bench SUITE [--seeds 0-9] [--policies FILE.yaml] [--data DIR]`.

Runs policies on recorded trainings in the simulator, and ranks them beside the results that others'
tuners had on the same. Without --data on the tables that may lie in this repository; with it on all
that the folder has, and with the peers' results in --reference.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: its threads cost more than they give
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from scaletune.api import reader
from scaletune.core.samplers.sampler import adapts
from tests.bench import (
    cells,
    centers,
    latency,
    laws,
    pareto,
    population,
    report,
    reuse,
    schedules,
    suites,
)

RANKS = ("rank 25 %", "rank 50 %", "rank 100 %")
REGRETS = ("regret 25 %", "50 %", "100 %", "full", "full, as named")
POLICIES: dict[str, dict[str, Any]] = {
    "scaletune": {"policy": {"asha": {}}},
    "scaletune, random": {"policy": {"asha": {}}, "sampler": {"random": {}}},
}


def main() -> None:
    """Run, print, and leave the figures in a file."""
    options = _options()
    if options.suite == "pareto":
        _run_pareto(options)
        return
    if options.suite == "pbt":
        _run_pbt(options)
        return
    if options.suite == "laws":
        _run_laws(options)
        return
    if options.suite == "reuse":
        _run_reuse(options)
        return
    if options.suite == "latency":
        _run_latency()
        return
    suite = suites.SUITES[options.suite]
    for workers, trainings in suite.budgets:
        jobs = list(_jobs(options, suite, workers, trainings))
        began = time.time()
        ours: dict[str, dict[report.Pair, report.Figures]] = {}
        with ProcessPoolExecutor(options.jobs) as pool:
            for name, box, seed, figures in pool.map(_run, jobs):
                ours.setdefault(name, {})[box, seed] = figures
        _print(options, suite, workers, ours)
        print(f"\n{len(jobs)} studies in {time.time() - began:.0f} s", file=sys.stderr)


def _run_pareto(options: argparse.Namespace) -> None:
    policies = pareto.POLICIES if options.policies is None else _policies(options.policies)
    jobs = [(policy, seed) for policy in policies.values() for seed in _seeds(options)]
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(pareto.run, *zip(*jobs, strict=True)))
    each = len(jobs) // len(policies)
    ours = {name: found[i * each : (i + 1) * each] for i, name in enumerate(policies)}
    folder = options.reference or options.data.parent / "reference"
    print("\n### pareto, 4 workers: hypervolume at equal compute\n")
    print(
        report.markdown(pareto.HEAD, pareto.table({**pareto.read(folder / "pareto.csv"), **ours}))
    )


def _run_pbt(options: argparse.Namespace) -> None:
    policies = population.POLICIES if options.policies is None else _policies(options.policies)
    folder = options.reference or options.data.parent / "reference"
    print("\n### pbt, 16 workers: regret")
    for training in schedules.trainings(options.data):
        if options.boxes is not None and training.name not in options.boxes.split(","):
            continue
        jobs = [(training, each, seed) for each in policies.values() for seed in _seeds(options)]
        with ProcessPoolExecutor(options.jobs) as pool:
            found = list(pool.map(population.run, *zip(*jobs, strict=True)))
        each = len(jobs) // len(policies)
        ours = {name: found[i * each : (i + 1) * each] for i, name in enumerate(policies)}
        rows = {**population.read(folder / "pbt.csv", training.name), **ours}
        print(f"\n{training.name}\n")
        print(report.markdown(population.HEAD, population.table(rows)))


def _run_laws(options: argparse.Namespace) -> None:
    jobs = [(box, seed) for box in laws.BOXES for seed in _seeds(options)]
    found: dict[str, list[laws.Found]] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for (box, _), each in zip(jobs, pool.map(laws.run, *zip(*jobs, strict=True)), strict=True):
            found.setdefault(box, []).append(each)
    print("\n### laws, 4 workers: exponents of cost\n")
    for parameter in ("N", "D", "lr"):
        print(report.markdown(laws.HEAD, laws.table(found, parameter)), end="\n\n")


def _run_reuse(options: argparse.Namespace) -> None:
    for pair in reuse.pairs(options.data):
        jobs = [(pair, way, seed) for seed in _seeds(options) for way in reuse.WAYS]
        found: dict[str, list[reuse.Figures]] = {}
        with ProcessPoolExecutor(options.jobs) as pool:
            regrets = pool.map(reuse.run, *zip(*jobs, strict=True))
            for (_, way, _), each in zip(jobs, regrets, strict=True):
                found.setdefault(way, []).append(each)
        print(f"\n### reuse, {reuse.WORKERS} workers: {pair[0]} after {pair[1]}\n")
        print(report.markdown(reuse.HEAD, reuse.table(found)), flush=True)


def _run_latency() -> None:
    """Policies beside more and more trials, the default sampler, and a whole simulated study."""
    sizes = (1000, 10_000)
    rows = [latency.answers(name, trials) for name in latency.POLICIES for trials in sizes]
    print("\n### latency: milliseconds of processor time\n")
    print(report.markdown(latency.HEAD, rows))
    exploits = [latency.exploits(name, n) for name, n in latency.POPULATIONS]
    print(f"\n{report.markdown(latency.EXPLOIT_HEAD, exploits)}")
    suggested = [latency.suggestions(1000), *(latency.searches(n) for n in (200, 400, 9_990))]
    print(f"\n{report.markdown(latency.SUGGESTION_HEAD, suggested)}")
    simulated = [latency.simulation(name) for name in ("asha Stop", "asha Promote")]
    print(f"\n{report.markdown(latency.SIMULATION_HEAD, simulated)}")


def _seeds(options: argparse.Namespace) -> range:
    first, _, last = options.seeds.partition("-")
    return range(int(first), int(last or first) + 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "suite",
        choices=[*suites.SUITES, "pareto", "pbt", "laws", "reuse", "latency"],
        nargs="?",
        default="main",
    )
    parser.add_argument("--seeds", default="0-9", help="such as 0-9")
    parser.add_argument(
        "--policies", type=Path, help="YAML: name -> policy, sampler, ... of a spec"
    )
    parser.add_argument("--boxes", help="some of the suite's, comma-separated")
    parser.add_argument("--data", type=Path, default=suites.DATA)
    parser.add_argument("--reference", type=Path, help="the peers' results; left out, beside data")
    parser.add_argument("--jobs", type=int, default=1, help="studies at once")
    return parser.parse_args()


def _jobs(
    options: argparse.Namespace, suite: suites.Suite, workers: int, trainings: float
) -> Iterator[tuple[Any, ...]]:
    policies = POLICIES if options.policies is None else _policies(options.policies)
    chosen = suite.boxes if options.boxes is None else tuple(options.boxes.split(","))
    for box in suites.boxes(suites.Suite(chosen), options.data):
        for seed in _seeds(options):
            for name, policy in policies.items():
                cell = cells.Cell(box, policy, seed, workers, trainings, suite.mtbf)
                yield name, cell
                spec = cells.study(cell).spec
                if not suite.guesses or not adapts(spec):
                    continue
                for guess, there in centers.centered(box, spec, suite.guesses, seed):
                    yield f"{name}, {guess.name}", replace(cell, box=there)


def _policies(path: Path) -> dict[str, Any]:
    [document] = reader.read_file(path)
    return document


def _run(job: tuple[str, cells.Cell]) -> tuple[str, str, int, report.Figures]:
    name, cell = job
    found = cells.run(cell)
    figures = {f"r{percent}": regret for percent, regret in found.regrets.items()}
    milliseconds = 1e3 * math.fsum(found.shell.plan_seconds) / max(1, len(found.shell.plan_seconds))
    return (
        name,
        cell.box.name,
        cell.seed,
        {
            **figures,
            "full100": found.full,
            report.NAMED: found.named,
            "planMilliseconds": milliseconds,
            "trials": len(found.shell.trials),
        },
    )


def _print(
    options: argparse.Namespace, suite: suites.Suite, workers: int, ours: report.Results
) -> None:
    folder = options.reference or options.data.parent / "reference"
    peers = report.read(folder / f"{options.suite}.csv", workers)
    rows = report.comparable(ours, peers)
    print(f"\n### {options.suite}, {workers} workers\n")
    print(report.markdown(("", *RANKS, *REGRETS), report.table(rows)))
    if suite.guesses:
        first = next(iter(ours))
        print(f"\ntimes the regret of {first}: of means, and paired\n")
        print(report.markdown(("", *REGRETS), report.times(ours, first)))
    for at in report.PERCENTS[1:]:
        _print_by_box(f"regret at {at[1:]} %", report.by_box(rows, at))
    if "random" in rows:
        for at, title in zip(report.FLOORS, REGRETS, strict=True):
            others = "full100" if at == report.NAMED else at
            _print_by_box(f"{title}, less random's", report.against(rows, "random", at, others))


def _print_by_box(title: str, lines: list[list[str]]) -> None:
    head, *rest = lines
    print(f"\n{title}\n")
    print(report.markdown(head, rest))


if __name__ == "__main__":
    main()
