"""Claims about samplers: which configuration a trial gets, to the bit."""

import math
import os
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from scaletune.api.space import Parameter
from scaletune.core.ledger import Ledger
from scaletune.core.samplers.draws import draw
from scaletune.core.samplers.sampler import configuration, sampler_size
from tests import strategies
from tests.core import given


def parameter(**space: Any) -> Parameter:
    return Parameter.model_validate({"name": "p", **space})


def values(index: int, **spec: Any) -> dict[str, Any] | None:
    study = given.study(**spec)
    found = configuration(study, Ledger.of(study, ()), index)
    return None if found is None else given.values(found[0])


def u(index: int, seed: int = 0, name: str = "p") -> float:
    return random.Random(f"{seed}/{index}/{name}").random()


@pytest.mark.parametrize("index", [0, 1, 17])
def test_a_real_value_lies_at_its_fraction_of_the_scale(index: int) -> None:
    linear = parameter(float={"min": -2.0, "max": 6.0})
    log = parameter(float={"min": 1e-4, "max": 1e-1, "scale": "Log"})
    logit = parameter(float={"min": 0.1, "max": 0.9, "scale": "Logit"})
    low = math.log(0.1 / 0.9)

    assert draw(0, index, linear) == -2.0 + u(index) * 8.0
    assert draw(0, index, log) == 1e-4 * (1e-1 / 1e-4) ** u(index)
    assert draw(0, index, logit) == pytest.approx(1 / (1 + math.exp(-low + 2 * low * u(index))))


@pytest.mark.parametrize("index", range(5))
def test_a_whole_number_is_drawn_half_a_step_beyond_its_ends(index: int) -> None:
    linear = parameter(int={"min": 1, "max": 4})
    log = parameter(int={"min": 16, "max": 512, "scale": "Log"})

    assert draw(0, index, linear) == min(max(round(0.5 + u(index) * 4), 1), 4)
    assert draw(0, index, log) == round(15.5 * (512.5 / 15.5) ** u(index))


def test_both_ends_of_a_whole_range_are_as_likely_as_the_middle() -> None:
    drawn = [draw(0, index, parameter(int={"min": 0, "max": 3})) for index in range(4000)]

    assert all(900 < drawn.count(value) < 1100 for value in range(4))


@pytest.mark.parametrize("index", range(5))
def test_lists_are_drawn_by_position(index: int) -> None:
    chosen = ["adamw", "adafactor", "muon"]

    assert draw(0, index, parameter(choice={"values": chosen})) == chosen[int(u(index) * 3)]
    assert draw(0, index, parameter(int={"values": [64, 8]})) == [64, 8][int(u(index) * 2)]


@any_of(strategies.parameters(), st.integers(0, 10**6), st.integers(0, 2**53))
def test_every_value_lies_in_its_space(
    searched: list[dict[str, Any]], index: int, seed: int
) -> None:
    for each in searched:
        space = Parameter.model_validate(each).space
        value: Any = draw(seed, index, Parameter.model_validate(each))
        if space.values is not None:
            assert value in space.values
        else:
            assert space.min is not None
            assert space.max is not None
            slack = 1e-9 * abs(value)
            assert space.min - slack <= value <= space.max + slack


@pytest.mark.parametrize(
    "space",
    [
        {"min": 1e-300, "max": 1e300, "scale": "Log"},
        {"min": -1.7e308, "max": 1.7e308},
        {"min": 5e-324, "max": 1 - 1e-16, "scale": "Logit"},
    ],
    ids=["log", "linear", "logit"],
)
def test_the_widest_ranges_give_finite_values_inside(space: dict[str, Any]) -> None:
    for index in range(200):
        value = draw(0, index, parameter(float=space))
        assert isinstance(value, float)
        assert space["min"] <= value <= space["max"]


def test_adding_a_parameter_changes_no_other() -> None:
    one, other = (
        {"name": "a", "float": {"min": 0, "max": 1}},
        {"name": "b", "int": {"min": 0, "max": 9}},
    )
    alone, both = values(3, parameters=[one]), values(3, parameters=[other, one])

    assert alone is not None
    assert both is not None
    assert alone["a"] == both["a"]


def test_an_initial_configuration_takes_centers_for_what_it_leaves_out_else_is_drawn() -> None:
    searched = [
        {"name": "lr", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log", "center": 3e-3}},
        {"name": "width", "int": {"min": 16, "max": 512}},
        {"name": "optimizer", "choice": {"values": ["adamw", "muon"]}},
    ]
    given_values = [{"optimizer": "muon"}, {"lr": 0.01, "width": 64, "optimizer": "adamw"}]
    study = given.study(parameters=searched, initial=given_values, sampler={"random": {}})
    empty = Ledger.of(study, ())
    first, second, third = (configuration(study, empty, index) for index in range(3))

    assert first is not None
    assert second is not None
    assert third is not None
    width = draw(0, 0, study.spec.parameters[1])
    assert given.values(first[0]) == {"lr": 3e-3, "width": width, "optimizer": "muon"}
    assert given.values(second[0]) == {"lr": 0.01, "width": 64, "optimizer": "adamw"}
    assert [each[1].kind for each in (first, second, third)] == ["Initial", "Initial", "Random"]
    assert given.values(third[0])["width"] == draw(0, 2, study.spec.parameters[1])


def test_a_grid_has_every_combination_once_the_last_parameter_fastest() -> None:
    searched = [
        {"name": "lr", "float": {"min": 1e-4, "max": 1e-2, "scale": "Log"}},
        {"name": "layers", "int": {"min": 1, "max": 2}},
        {"name": "optimizer", "choice": {"values": ["adamw", "muon"]}},
    ]
    spec = {"parameters": searched, "sampler": {"grid": {"points": 3}}}
    found = [values(index, **spec) for index in range(13)]

    assert sampler_size(given.study(**spec).spec) == 12
    assert [each and each["optimizer"] for each in found[:4]] == ["adamw", "muon", "adamw", "muon"]
    assert [each and each["layers"] for each in found[:5]] == [1, 1, 2, 2, 1]
    rates = [found[index]["lr"] for index in (0, 4, 8)]  # type: ignore[index]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2])
    assert (min(rates), max(rates)) == (1e-4, 1e-2)
    assert found[12] is None
    assert len({tuple(each.values()) for each in found if each}) == 12


def test_a_grid_begins_after_the_initial_configurations() -> None:
    searched = [{"name": "n", "int": {"values": [3, 5]}}]
    spec = {"parameters": searched, "sampler": {"grid": {}}, "initial": [{"n": 5}]}

    assert [values(index, **spec) for index in range(4)] == [{"n": 5}, {"n": 3}, {"n": 5}, None]


def test_a_list_is_tried_in_its_order_after_the_initial_configurations_and_then_ends() -> None:
    searched = [
        {"name": "n", "int": {"min": 1, "max": 9}},
        {"name": "lr", "float": {"min": 0.0, "max": 1.0, "center": 0.5}},
    ]
    listed = [{"n": 7, "lr": 0.1}, {"n": 3}, {"n": 7, "lr": 0.1}]
    spec = {
        "parameters": searched,
        "initial": [{"n": 1, "lr": 0}],
        "sampler": {"list": {"configurations": listed}},
        "budget": {"gpuHours": 1},
    }
    study = given.study(**spec)
    found = configuration(study, Ledger.of(study, ()), 1)

    assert [values(index, **spec) for index in range(5)] == [
        {"n": 1, "lr": 0.0},
        {"n": 7, "lr": 0.1},
        {"n": 3, "lr": 0.5},
        {"n": 7, "lr": 0.1},  # written twice, tried twice
        None,
    ]
    assert found is not None
    assert found[1].kind == "List"
    assert sampler_size(study.spec) == 3


def test_other_samplers_have_no_size() -> None:
    assert sampler_size(given.study().spec) is None


PROGRAM = """
from tests.core import given
from scaletune.core.ledger import Ledger
from scaletune.core.samplers.sampler import configuration
from scaletune.core.seeds import trial_seed
study = given.study(parameters=[
    {"name": "lr", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}},
    {"name": "optimizer", "choice": {"values": ["adamw", "adafactor", "muon"]}},
])
empty = Ledger.of(study, ())
print([(given.values(configuration(study, empty, i)[0]), trial_seed(0, i)) for i in range(20)])
"""


def test_values_are_the_same_in_every_process() -> None:
    outputs = set()
    for hashing in ("0", "1", "4711"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": hashing,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)

    assert len(outputs) == 1
