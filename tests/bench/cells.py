"""Cells: one policy on one box with one seed, in Scaletune's own simulator.

Time is stretched so that a study's duration is a round number; a user's Study says no more than
what `study` writes. Regret counts every unit's value at the time it was reported, also those
between milestones, as users see them in their dashboards.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaletune.api.study import Study
from scaletune.api.warm_start import Prior
from scaletune.core import budget
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.bench.boxes import Box

WORST = 2.0  # regret
DURATION = 1_000_000  # seconds of a study, whatever the box's own
# In full trainings of average length.
START, RESUME, PAUSE, REPAIR = 0.02, 0.02, 0.005, 0.02


@dataclass(frozen=True)
class Cell:
    """What is run."""

    box: Box
    policy: Mapping[str, Any]
    seed: int
    workers: int = 16
    trainings: float = 4.0
    """trainings is the budget: as many full trainings, one after the other, on each worker."""
    mtbf: float = math.inf
    """mtbf of a node, in full trainings."""
    prior: Prior | None = None
    """prior is what was taken over from earlier studies."""

    @property
    def stretch(self) -> float:
        """Seconds of the study for one of the box's."""
        return DURATION / (self.trainings * self.box.facts.mean_seconds)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    regrets: dict[int, float]
    """regrets at these per cents of the budget, of the best value reported by then."""
    full: float
    """full is the regret of the configuration that reported it, trained in full."""
    named: float
    """named is that of the trial that the study's status names best: none is trained further."""
    shell: Shell


def study(cell: Cell) -> Study:
    """The Study as a user would write it."""
    spec = {
        "parallelism": cell.workers,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": list(cell.box.parameters),
        "training": {"unit": "Step", "max": cell.box.units},
        "budget": {"duration": f"{DURATION}s"},
        "template": {"pod": {}},
        **cell.policy,
    }
    status = {} if cell.prior is None else {"prior": cell.prior}
    return Study.model_validate({"metadata": {"name": "bench"}, "spec": spec, "status": status})


def run(cell: Cell) -> Result:
    """Simulate the cell."""
    shell = simulate(Setting(study(cell), Objective(cell), _circumstances(cell)), cell.seed)
    seen = sorted(_values(cell, shell))
    best, so_far = [], math.inf
    for at, value, trial in seen:
        if value < so_far:
            so_far = value
            best.append((at, value, trial))
    times = [at for at, _, _ in best]
    regrets = {}
    for percent in (25, 50, 100):
        reached = bisect_right(times, DURATION * percent / 100)
        value = best[reached - 1][1] if reached else math.inf
        regrets[percent] = cell.box.facts.regret(value)
    full = _in_full(cell, shell, best[-1][2]) if best else WORST
    named = shell.study.status.best
    return Result(regrets, full, _in_full(cell, shell, named.index) if named else WORST, shell)


class Objective:
    """A box as the simulator calls it."""

    def __init__(self, cell: Cell) -> None:
        self._box, self._stretch = cell.box, cell.stretch

    def __call__(
        self, parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        values, seconds = self._box.curve(parameters, seed)
        before = seconds[start - 1] if start else 0.0
        reached = until if until <= len(values) else min(len(values) + 1, len(seconds))
        took = max(0.0, float(seconds[reached - 1] - before)) * self._stretch
        return {
            "value": float(values[until - 1]) if until <= len(values) else math.nan,
            "seconds": took,
        }


def _circumstances(cell: Cell) -> Circumstances:
    one = cell.box.facts.mean_seconds * cell.stretch
    failures = Failures()
    if cell.mtbf < math.inf:
        # Trainers write a checkpoint after each unit, as those did that the peers ran on.
        failures = Failures(cell.mtbf * one, REPAIR * one, checkpoint=1)
    return Circumstances(Overhead(START * one, RESUME * one, PAUSE * one), failures)


def _values(cell: Cell, shell: Shell) -> Iterator[tuple[float, float, int]]:
    """(time, value, trial) of every unit that was trained, from the times of the milestones."""
    reached: dict[int, tuple[float, int]] = {}
    for line in shell.lines:
        if "step" not in line:
            continue
        trial, at, step = line["trial"], line["at"], line["step"]
        values, seconds = _curve(cell, shell, trial)
        before = reached.get(trial, (0.0, 0))[1]
        done = min(step, len(values))
        end = min(step, len(seconds))
        for unit in range(before + 1, done + 1):
            later = float(seconds[end - 1] - seconds[unit - 1]) * cell.stretch
            yield at - later, float(values[unit - 1]), trial
        reached[trial] = (at, step)
    for index in shell.trials:
        yield from _under_way(cell, shell, index, reached.get(index, (0.0, 0)))


def _under_way(
    cell: Cell, shell: Shell, index: int, reached: tuple[float, int]
) -> Iterator[tuple[float, float, int]]:
    """What a trial had trained since its last milestone when the study ended."""
    trial = shell.trials[index]
    attempt = trial.status.attempts[-1] if trial.status.attempts else None
    told_to_pause = trial.spec.state == "Paused"  # as the end of the budget alone does here
    if attempt is None or attempt.started_at is None or not told_to_pause:
        return
    last, step = reached
    began = budget.instant(attempt.started_at)
    values, seconds = _curve(cell, shell, index)
    held = trial.status.checkpoint
    if held is not None and held.incarnation != attempt.incarnation:
        # Trained by an attempt that has lost its node: reported by then, or earlier.
        for unit in range(step + 1, held.step + 1):
            yield began, float(values[unit - 1]), index
        step = max(step, held.step)
    overhead = RESUME if step else START
    began += overhead * cell.box.facts.mean_seconds * cell.stretch
    before = float(seconds[step - 1]) if step else 0.0
    for unit in range(step + 1, len(values) + 1):
        at = max(began, last) + (float(seconds[unit - 1]) - before) * cell.stretch
        if at > DURATION:
            return
        yield at, float(values[unit - 1]), index


def _curve(cell: Cell, shell: Shell, index: int) -> Any:
    trial = shell.trials[index]
    values = {each.name: each.value for each in trial.spec.parameters}
    return cell.box.curve(values, trial.spec.seed)


def _in_full(cell: Cell, shell: Shell, index: int) -> float:
    values, _ = _curve(cell, shell, index)
    value = float(values[-1]) if len(values) == cell.box.units else math.inf
    return cell.box.facts.regret(value)
