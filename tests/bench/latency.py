"""Latency: processor time of a report, of a decision and of a suggestion, and of a long simulation.

A study is simulated until it has so many trials. Then, for each of some trials that run, a report
is taken in (`observe`, and the Ledger brought up to date), and the plan is made that answers it.
Suggestions are asked for with so many records; the first of them in a process that remembers no
fit. Times are of the processor, so that a loaded machine changes them little, and where a try can
be repeated the least of several is taken. It judges nothing.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.numerics import gaussian_process
from scaletune.core.observe import Report, observe
from scaletune.core.plan import decide
from scaletune.core.samplers import adaptive, carbs  # here: no suggestion is to import them
from scaletune.core.samplers.sampler import configuration
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.outcome import percentile
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, begin, simulate, turns
from tests.bench.law import Law
from tests.bench.pareto import objective as trained

T = TypeVar("T")
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "asha Promote": {"asha": {"mode": "Promote"}},
    "asha Stop": {"asha": {"mode": "Stop"}},
    "hyperband": {"hyperband": {}},
    "successiveHalving": {"successiveHalving": {}},
    "pbt perturb": {"pbt": {"population": 64}},
    "pbt pb2": {"pbt": {"population": 64, "explore": "pb2"}},
}
GROWN_AS = {"pbt pb2": "pbt perturb"}  # which is many times as fast
POPULATIONS = (("pbt perturb", 64), ("pbt pb2", 8), ("pbt pb2", 64), ("pbt pb2", 1000))
HEAD = ("", "trials", "report p50", "p95", "decision p50", "p95")
EXPLOIT_HEAD = ("", "population", "p50", "p95")
SUGGESTION_HEAD = ("", "records", "with a new fit", "mean", "p50", "p95")
SIMULATION_HEAD = ("", "trials", "records", "seconds")
ASKED, TRIES = 400, 5
TRIALS_MAX = 10_000  # of a budget
RECORDS_EACH = 3  # of a population in the middle of its life
UNITS = 3**9  # ten rungs at eta 3
PARAMETERS = [
    {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "Log"}},
    {"name": "batch_size", "int": {"min": 16, "max": 512, "scale": "Log"}},
    {"name": "dropout", "float": {"min": 0.0, "max": 0.5}},
    {"name": "optimizer", "choice": {"values": ["adamw", "adafactor", "muon"]}},
]


def answers(name: str, trials: int) -> list[str]:
    """A row: milliseconds of reports and of decisions once a study has so many trials."""
    grown = POLICIES[GROWN_AS.get(name, name)]
    shell = _grown(_study(grown, TRIALS_MAX, workers=64), trials)
    shell.study = _asked(shell.study, _study(POLICIES[name], TRIALS_MAX, workers=64))
    reports, decisions = [], []
    for trial in islice(_running(shell), ASKED // TRIES):
        level = shell.frame.next_level(trial)
        assert level is not None
        report = Report(trial.index, level, random.Random(trial.index).random(), 1.0, sequence=99)
        tries = [_answered(shell, trial, report) for _ in range(TRIES)]
        reports.append(min(each.to_observe for each in tries))
        decisions.append(min(each.to_decide for each in tries))
    return [name, f"{trials:,}", *_milliseconds(reports), *_milliseconds(decisions)]


def exploits(name: str, population: int) -> list[str]:
    """A row: milliseconds of decisions by which a trial goes on from another one, with new fits."""
    grown, asked = (
        _study({"pbt": {**POLICIES[each]["pbt"], "population": population}}, population, population)
        for each in (GROWN_AS.get(name, name), name)
    )
    shell = begin(Setting(grown, _objective, Circumstances()), seed=0)
    _go_on(shell, RECORDS_EACH * population)
    shell.study = _asked(shell.study, asked)
    seconds = []
    for trial in islice(_running(shell), ASKED // TRIES):
        level = shell.frame.next_level(trial)
        assert level is not None
        worst = Report(trial.index, level, 2.0, 1.0, sequence=99)
        tries = [_answered(shell, trial, worst) for _ in range(TRIES)]
        if tries[0].word == "Exploit":
            seconds.append(min(each.to_decide for each in tries))
    return [name, f"{population:,}", *_milliseconds(seconds)]


def _asked(study: Study, otherwise: Study) -> Study:
    """A study in the middle of its life, whose trials are explored in another way from now on."""
    spec = otherwise.spec.model_copy(update={"seed": study.spec.seed})
    return study.model_copy(update={"spec": spec})


class _Answer(NamedTuple):
    to_observe: float  # seconds
    to_decide: float
    word: str


def _answered(shell: Shell, trial: Trial, report: Report) -> _Answer:
    """How long a report and its answer take, where no fit is remembered."""
    gaussian_process._fitted.cache_clear()
    ledger, to_observe = _timed(_taken_in, shell, trial, report)
    made, to_decide = _timed(decide, shell.study, ledger, shell.world.now)
    return _Answer(to_observe, to_decide, made.decisions[0].decision)


def suggestions(records: int) -> list[str]:
    """A row: milliseconds of the default sampler, once a study has so many records."""
    shell = _grown(_study({"asha": {}}, TRIALS_MAX, workers=16), records)
    study = _of(shell.study.spec.to_yaml_fields(), sampler={})
    return ["the default", *_suggested(study, shell.ledger, ASKED)]


def searches(records: int) -> list[str]:
    """A row: milliseconds of policy carbs, with so many random trials of a language model."""
    spec: dict[str, Any] = {
        "parallelism": 8,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": list(Law.parameters),
        "training": {"unit": "Step", "max": Law.units},
        "budget": {"trials": TRIALS_MAX},
        "template": {"pod": {}},
    }
    shell = begin(Setting(_of(spec, sampler={"random": {}}), trained, Circumstances()), seed=0)
    _go_on(shell, records)
    study = _of(spec, policy={"carbs": {"repeatEvery": 0}})  # a repeat asks no model
    return ["carbs", *_suggested(study, Ledger.of(study, shell.trials.values()), ASKED // 10)]


def _suggested(study: Study, ledger: Ledger, asked: int) -> list[str]:
    assert {adaptive.__name__, carbs.__name__} <= sys.modules.keys()
    first, known = ledger.next_index, len(ledger.shelf("decided"))
    seconds = [
        _timed(configuration, study, ledger, index)[1] for index in range(first, first + asked + 1)
    ]
    fitted, *others = seconds
    shown = [f"{1e3 * each:.3f}" for each in (fitted, sum(others) / len(others))]
    return [f"{known:,}", *shown, *_milliseconds(others)]


def simulation(name: str, trials: int = 10_000, workers: int = 1000) -> list[str]:
    """A row: seconds that a whole simulated study takes."""
    setting = Setting(_study(POLICIES[name], trials, workers), _objective, Circumstances())
    shell, seconds = _timed(simulate, setting, 0)
    return [name, f"{trials:,}", f"{len(shell.ledger.shelf('decided')):,}", f"{seconds:.1f}"]


def _study(policy: Mapping[str, Any], trials: int, workers: int) -> Study:
    named = dict(policy)
    if "asha" in named:
        named["asha"] = {**named["asha"], "min": 1}
    spec: dict[str, Any] = {
        "parallelism": workers,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": PARAMETERS,
        "training": {"unit": "Step", "max": UNITS},
        "policy": named,
        "sampler": {"random": {}},
        "budget": {"trials": trials},
        "template": {"pod": {}},
    }
    return _of(spec)


def _of(spec: Mapping[str, Any], **changes: Any) -> Study:
    fields = {**spec, **changes}
    return Study.model_validate({"metadata": {"name": "latency"}, "spec": fields})


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


def _go_on(shell: Shell, records: int) -> None:
    """Until so many records are decided."""
    for _ in turns(shell):
        if len(shell.ledger.shelf("decided")) >= records:
            break


def _running(shell: Shell) -> Iterator[Trial]:
    """Trials that train, again and again."""
    trials = [each for each in shell.ledger.on("holders") if shell.frame.next_level(each)]
    while trials:
        yield from trials


def _taken_in(shell: Shell, trial: Trial, report: Report) -> Ledger:
    [changed] = observe(shell.study, [trial], [report], ledger=shell.ledger)
    return shell.ledger.replace(trial, changed)


def _timed(call: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    began = time.process_time()
    made = call(*arguments)
    return made, time.process_time() - began


def _milliseconds(seconds: Sequence[float]) -> list[str]:
    return [f"{1e3 * percentile(seconds, fraction):.3f}" for fraction in (0.5, 0.95)]
