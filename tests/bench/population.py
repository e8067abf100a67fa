"""The `pbt` suite: how good a training population based training comes to, beside other tuners.

16 workers, 1.5 full trainings of time, and the overheads of the other suites. Every unit's score
counts at the time when it was trained, also of what was given up later. Of the peers, `syne-pbt`
began from uniform draws of the parameters, as ours; on the toy the others began from its corners.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from scaletune.api.study import Study
from scaletune.shells.simulate.faults import Circumstances, Overhead
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, begin, turns
from scaletune.shells.simulate.world import World
from tests.bench.boxes import Values
from tests.bench.cells import DURATION, PAUSE, RESUME, START
from tests.bench.schedules import Training

WORKERS, TRAININGS = 16, 1.5
ONE = DURATION / TRAININGS  # seconds of a full training
PERCENTS = (25, 50, 100)
HEAD = ("", "studies", *(f"{percent} %" for percent in PERCENTS))
POLICIES: dict[str, dict[str, Any]] = {
    "scaletune, pbt": {"policy": {"pbt": {}}},
    "scaletune, pbt pb2": {"policy": {"pbt": {"explore": "pb2"}}},
    "scaletune, pbt Sync": {"policy": {"pbt": {"mode": "Sync"}}},
}

Regrets = dict[int, float]


@dataclass(frozen=True)
class Stretch:
    """What was trained without a change: the seconds of its units' ends, and their scores."""

    start: int
    began: float
    ends: tuple[float, ...]
    scores: tuple[float, ...]


class Objective:
    """A training as the simulator calls it; it keeps what was trained when."""

    def __init__(self, training: Training) -> None:
        self.training, self.world = training, None
        self.stretches: dict[int, list[Stretch]] = {}
        """By the seed of the trial, in their order."""

    world: World | None

    def __call__(
        self, parameters: Values, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        assert self.world is not None
        random = np.random.default_rng([seed, start])
        state = self.training.begin(random) if state is None else state
        now, value = self.world.now, math.nan
        ends, scores = [], []
        for _ in range(start, until):
            state, value = self.training.step(state, parameters, random)
            now += ONE / self.training.units * math.exp(0.1 * random.standard_normal())
            ends.append(now)
            if not math.isfinite(value):
                break
            scores.append(self.training.score(state))
        stretch = Stretch(start, self.world.now, tuple(ends), tuple(scores))
        self.stretches.setdefault(seed, []).append(stretch)
        return {"value": value, "seconds": now - self.world.now, "state": state}

    def scored(self) -> Iterator[tuple[float, float]]:
        """(time, score) of every unit that was really trained."""
        for stretches in self.stretches.values():
            for stretch, following in zip(stretches, [*stretches[1:], None], strict=True):
                # One that went on from elsewhere had left a while before.
                is_cut = following is not None and following.start <= stretch.start
                left = math.inf
                if following is not None and is_cut:
                    left = following.began - (RESUME + PAUSE) * ONE
                for end, score in zip(stretch.ends, stretch.scores, strict=False):
                    if end <= left:  # one that diverged has no score
                        yield end, score


def study(training: Training, policy: Mapping[str, Any]) -> Study:
    """The Study as a user would write it."""
    spec = {
        "parallelism": WORKERS,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": list(training.parameters),
        "training": {"unit": "Step", "max": training.units},
        "budget": {"duration": f"{DURATION}s"},
        "template": {"pod": {}},
        **policy,
    }
    return Study.model_validate({"metadata": {"name": "bench"}, "spec": spec})


def simulated(training: Training, policy: Mapping[str, Any], seed: int) -> tuple[Shell, Objective]:
    """One study, and what it trained."""
    objective = Objective(training)
    overhead = Overhead(START * ONE, RESUME * ONE, PAUSE * ONE)
    shell = begin(Setting(study(training, policy), objective, Circumstances(overhead)), seed)
    objective.world = shell.world
    for _ in turns(shell):
        pass
    return shell, objective


def run(training: Training, policy: Mapping[str, Any], seed: int) -> Regrets:
    """The regret of the best so far, at these per cents of the time."""
    _, objective = simulated(training, policy, seed)
    scored = list(objective.scored())
    return {
        percent: training.facts.regret(
            min((score for at, score in scored if at <= DURATION * percent / 100), default=math.inf)
        )
        for percent in PERCENTS
    }


def read(path: Path, box: str) -> dict[str, list[Regrets]]:
    """The peers' recorded results on a box."""
    found: dict[str, list[Regrets]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["box"] == box:
                regrets = {percent: float(row[f"r{percent}"]) for percent in PERCENTS}
                found.setdefault(row["peer"], []).append(regrets)
    return found


def table(rows: Mapping[str, Sequence[Regrets]]) -> list[list[str]]:
    """The lines of a box, the best at the end first."""
    ordered = sorted(rows, key=lambda name: fmean(each[100] for each in rows[name]))
    return [[name, str(len(rows[name])), *_cells(rows[name])] for name in ordered]


def _cells(studies: Sequence[Regrets]) -> Iterator[str]:
    for percent in PERCENTS:
        regrets = [each[percent] for each in studies]
        error = stdev(regrets) / math.sqrt(len(regrets)) if len(regrets) > 1 else 0.0
        yield f"{fmean(regrets):.4f} ± {error:.4f}"
