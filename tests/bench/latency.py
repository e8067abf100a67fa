"""Latency: processor time of a report, of a decision and of a suggestion, and of a long simulation.

A study is simulated until it has so many trials. Then, for each of some trials that run, a report
is taken in (`observe`, and the Ledger brought up to date), and the plan is made that answers it.
Times are of the processor, so that a loaded machine changes them little. It judges nothing.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.observe import Report, observe
from scaletune.core.plan import decide
from scaletune.core.samplers.sampler import configuration
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.outcome import percentile
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, begin, simulate, turns

T = TypeVar("T")
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "asha Promote": {"asha": {}},
    "asha Stop": {"asha": {"mode": "Stop"}},
    "hyperband": {"hyperband": {}},
    "successiveHalving": {"successiveHalving": {}},
    "pbt": {"pbt": {"population": 64}},
}
HEAD = ("", "trials", "report p50", "p95", "decision p50", "p95")
SUGGESTION_HEAD = ("", "records", "mean", "p50", "p95")
SIMULATION_HEAD = ("", "trials", "records", "seconds")
ASKED = 400
TRIALS_MAX = 10_000  # of a budget
UNITS = 3**9  # ten rungs at eta 3
PARAMETERS = [
    {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "Log"}},
    {"name": "batch_size", "int": {"min": 16, "max": 512, "scale": "Log"}},
    {"name": "dropout", "float": {"min": 0.0, "max": 0.5}},
    {"name": "optimizer", "choice": {"values": ["adamw", "adafactor", "muon"]}},
]


def answers(name: str, trials: int) -> list[str]:
    """A row: milliseconds of reports and of decisions once a study has so many trials."""
    shell = _grown(_study(POLICIES[name], TRIALS_MAX, workers=64), trials)
    reports, decisions = [], []
    for trial in islice(_running(shell), ASKED):
        level = shell.frame.next_level(trial)
        assert level is not None
        report = Report(trial.index, level, random.Random(trial.index).random(), 1.0, sequence=99)
        ledger, seconds = _timed(_taken_in, shell, trial, report)
        reports.append(seconds)
        made, seconds = _timed(decide, shell.study, ledger, shell.world.now)
        decisions.append(seconds)
        assert made.decisions
    return [name, f"{trials:,}", *_milliseconds(reports), *_milliseconds(decisions)]


def suggestions(sampler: Mapping[str, Any], records: int) -> list[str]:
    """A row: milliseconds of a suggestion once a study has so many records."""
    shell = _grown(_study({"asha": {}}, TRIALS_MAX, workers=16), records)
    spec = {**shell.study.spec.to_yaml_fields(), "sampler": sampler}
    metadata = shell.study.metadata
    study = Study.model_validate({"metadata": metadata, "spec": spec})
    first = shell.ledger.next_index
    seconds = [
        _timed(configuration, study, shell.ledger, index)[1]
        for index in range(first, first + ASKED)
    ]
    known = len(shell.ledger.shelf("decided"))
    mean = f"{1e3 * sum(seconds) / len(seconds):.3f}"
    name = next(iter(sampler), "the default")
    return [name, f"{known:,}", mean, *_milliseconds(seconds)]


def simulation(name: str, trials: int = 10_000, workers: int = 1000) -> list[str]:
    """A row: seconds that a whole simulated study takes."""
    setting = Setting(_study(POLICIES[name], trials, workers), _objective, Circumstances())
    shell, seconds = _timed(simulate, setting, 0)
    return [name, f"{trials:,}", f"{len(shell.ledger.shelf('decided')):,}", f"{seconds:.1f}"]


def _study(policy: Mapping[str, Any], trials: int, workers: int) -> Study:
    named = dict(policy)
    if "asha" in named:
        named["asha"] = {**named["asha"], "min": 1}
    spec = {
        "parallelism": workers,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": PARAMETERS,
        "training": {"unit": "Step", "max": UNITS},
        "policy": named,
        "sampler": {"random": {}},
        "budget": {"trials": trials},
        "template": {"pod": {}},
    }
    return Study.model_validate({"metadata": {"name": "latency"}, "spec": spec})


def _objective(
    parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    luck = random.Random(f"{seed}/{until}")
    seconds = (until - start) * (0.5 + luck.random())
    return {"value": parameters["dropout"] + 0.3 * luck.random(), "seconds": seconds}


def _grown(study: Study, trials: int) -> Shell:
    """The study in the middle of its life, when it has so many trials."""
    shell = begin(Setting(study, _objective, Circumstances()), seed=0)
    for _ in turns(shell):
        if len(shell.trials) >= trials:
            break
    return shell


def _running(shell: Shell) -> Iterator[Trial]:
    """Trials that train, again and again."""
    trials = [each for each in shell.ledger.on("holders") if shell.frame.next_level(each)]
    while trials:
        yield from trials


def _taken_in(shell: Shell, trial: Trial, report: Report) -> Ledger:
    [changed] = observe(shell.study, [trial], [report])
    return shell.ledger.replace(trial, changed)


def _timed(call: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    began = time.process_time()
    made = call(*arguments)
    return made, time.process_time() - began


def _milliseconds(seconds: Sequence[float]) -> list[str]:
    return [f"{1e3 * percentile(seconds, fraction):.3f}" for fraction in (0.5, 0.95)]
