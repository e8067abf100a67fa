"""Claims about every sampler: what it may try, how it is spread, and what bad input does to it."""

import math
from typing import Any

import pytest

from scaletune.api.space import ChoiceSpace, IntSpace, Parameter
from scaletune.api.study import Study
from scaletune.api.trial_name import repeat_of
from scaletune.core.ledger import Ledger
from scaletune.core.samplers.draws import fraction_of
from scaletune.core.samplers.sampler import configuration
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests import strategies
from tests.core import given
from tests.shells.simulate.drawn import CALM

EVERYTHING = [{"name": f"p{number}", **each} for number, each in enumerate(strategies.SPACES)]
LISTED = [{}, {"p0": 1e-3}, {"p5": 2, "p7": "muon"}]
SAMPLERS: dict[str, dict[str, Any]] = {
    "adaptive": {},
    "random": {"sampler": {"random": {}}},
    "sobol": {"sampler": {"sobol": {}}},
    "grid": {"sampler": {"grid": {"points": 2}}},
    "list": {"sampler": {"list": {"configurations": LISTED}}},
    "carbs": {"mode": "Carbs"},
}
POLICIES = ("Promote", "Stop", "Full", "successiveHalving", "hyperband")
ways = pytest.mark.parametrize(
    "way",
    [*(("adaptive", mode) for mode in POLICIES), *((each, "Stop") for each in (*SAMPLERS,)[1:])],
    ids=" ".join,
)


def study(way: tuple[str, str], **spec: Any) -> Study:
    """A study of 24 trials with this sampler and this policy."""
    sampler, mode = way
    fields = {"mode": mode, "most": 9, "parallelism": 3, "budget": {"trials": 24}}
    return given.study(**{"parameters": EVERYTHING, **fields, **SAMPLERS[sampler], **spec})


def searched(shell: Shell) -> list[dict[str, Any]]:
    """The configurations that were tried, in their order."""
    trials = sorted(shell.trials.items())
    return [given.values(each.spec.parameters) for i, each in trials if repeat_of(i) is None]


def quality(
    parameters: dict[str, Any], start: int, until: int, *_: Any, **__: Any
) -> dict[str, Any]:
    """The lower p1 the better; one second a step."""
    return {"value": float(parameters.get("p1", 0.0)), "seconds": until - start}


def is_allowed(parameter: Parameter, value: Any) -> bool:
    space = parameter.space
    if space.values is not None:
        return value in space.values
    assert not isinstance(space, ChoiceSpace)
    if isinstance(space, IntSpace) and not isinstance(value, int):
        return False
    assert space.min is not None
    assert space.max is not None
    return space.min <= float(value) <= space.max


# ---- what is tried


@ways
def test_every_value_is_one_of_its_parameter_and_the_same_every_time(way: tuple[str, str]) -> None:
    setting = Setting(study(way), quality, CALM)
    shell, again = simulate(setting, seed=1), simulate(setting, seed=1)
    parameters = setting.study.spec.parameters

    assert shell.finished
    for values in searched(shell):
        assert all(is_allowed(each, values[each.name]) for each in parameters)
    assert searched(shell) == searched(again)


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize("space", strategies.SPACES, ids=str)
def test_what_sees_no_trial_is_spread_evenly_on_the_scale(sampler: str, space: Any) -> None:
    of = given.study(parameters=[{"name": "p", **space}], **SAMPLERS[sampler])
    empty, (parameter,) = Ledger.of(of, ()), of.spec.parameters
    count, parts = 1200, 4
    shares = [0] * parts
    for index in range(count):
        found = configuration(of, empty, index)
        assert found is not None
        value = found[0][0].value
        if parameter.space.values is not None:
            shares[int(fraction_of(parameter, value) * parts)] += 1
        elif isinstance(parameter.space, IntSpace) and parameter.space.scale == "Linear":
            shares[int(value) % parts] += 1  # -3 to 3: three residues come twice, one once
        else:
            shares[min(parts - 1, int(fraction_of(parameter, value) * parts))] += 1
    if parameter.space.values is not None:
        expected = [0] * parts
        for value in parameter.space.values:
            expected[int(fraction_of(parameter, value) * parts)] += count // len(
                parameter.space.values
            )
    elif isinstance(parameter.space, IntSpace) and parameter.space.scale == "Linear":
        residues = [number % parts for number in range(-3, 4)]
        expected = [count * residues.count(each) // 7 for each in range(parts)]
    else:
        expected = [count // parts] * parts

    # Five standard deviations of a draw; the sequence is closer.
    assert shares == pytest.approx(expected, abs=5 * math.sqrt(count * 0.25))


# ---- bad input


@ways
def test_a_constant_metric_ends_as_any_other(way: tuple[str, str]) -> None:
    def constant(parameters: Any, start: int, until: int, *_: Any, **__: Any) -> dict[str, Any]:
        return {"value": 1.0, "seconds": until - start}

    shell = simulate(Setting(study(way), constant, CALM), seed=0)

    assert shell.finished
    assert shell.ledger.has_full_training()


@ways
def test_where_every_trial_fails_the_study_ends_early(way: tuple[str, str]) -> None:
    def failing(parameters: Any, start: int, until: int, seed: int, **_: Any) -> dict[str, Any]:
        if seed % 2:
            raise MemoryError
        return {"value": math.nan, "seconds": until - start}

    shell = simulate(Setting(study(way), failing, CALM), seed=0)

    assert shell.finished
    assert shell.study.status.best is None


@ways
def test_an_outlier_and_a_half_that_diverges_hide_no_best(way: tuple[str, str]) -> None:
    def rough(parameters: Any, start: int, until: int, seed: int, **_: Any) -> dict[str, Any]:
        value = quality(parameters, start, until)["value"]
        luck = seed % 8
        return {"value": math.nan if luck < 4 else 1e300 if luck == 4 else value, "seconds": 1}

    shell = simulate(Setting(study(way), rough, CALM), seed=0)
    best = shell.study.status.best

    assert shell.finished
    assert best is None or math.isfinite(best.value)
    full = [key for key, _ in shell.ledger.shelf(("rung", 9)).entries() if not key[0]]
    assert best is None or not full or best.value == full[0][1]


@ways
def test_a_space_of_a_single_point_and_costs_of_zero_are_no_trouble(way: tuple[str, str]) -> None:
    def free(parameters: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return {"value": 1.0, "seconds": 0}

    single = [{"name": "p0", "float": {"values": [1e-3]}}, {"name": "p1", "int": {"values": [3]}}]
    more: dict[str, Any] = (
        {"sampler": {"list": {"configurations": [{}, {}, {}]}}} if way[0] == "list" else {}
    )
    shell = simulate(Setting(study(way, parameters=single, **more), free, CALM), seed=0)

    assert shell.finished
    assert {tuple(values.values()) for values in searched(shell)} == {(1e-3, 3)}


@ways
def test_a_search_is_confirmed_whatever_tries_and_judges(way: tuple[str, str]) -> None:
    confirm = {"top": 2, "repeats": 2}
    shell = simulate(Setting(study(way, confirm=confirm), quality, CALM), seed=0)
    found = shell.study.status.confirmation
    assert found is not None

    assert {each.trainings for each in found.configurations} == {2}
    assert found.configurations[0].standing == "Winner"


def test_a_grid_larger_than_the_budget_ends_with_the_budget() -> None:
    many = study(("grid", "Promote"), sampler={"grid": {"points": 1000}}, budget={"trials": 5})
    shell = simulate(Setting(many, quality, CALM), seed=0)

    assert shell.finished
    assert len(searched(shell)) == 5
