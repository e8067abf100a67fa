"""Claims about the values with which a member of a population goes on from another one."""

import math
from typing import Any

import pytest

from scaletune.api.space import Parameter
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.policies.policy import population_of
from scaletune.core.samplers.perturb import perturbed, stepped
from tests.core import given
from tests.core.test_pbt import exploits, member, study, waiting
from tests.core.units import scaled_study, scaled_trial


@pytest.mark.parametrize(
    ("space", "value", "up", "expected"),
    [
        ({"float": {"min": 1e-5, "max": 1e-1, "scale": "Log"}}, 1e-3, False, 5e-4),
        ({"float": {"min": 1e-5, "max": 1.1e-3, "scale": "Log"}}, 1e-3, True, 1.1e-3),
        ({"float": {"min": 0, "max": 1}}, 0.0, True, 0.1),
        ({"int": {"min": 1, "max": 9}}, 3, True, 6),
        ({"int": {"min": 1, "max": 9}}, 9, True, 9),
        ({"int": {"min": 1, "max": 9}}, 1, False, 1),
        ({"int": {"min": 1, "max": 99}}, 64, False, 32),
        ({"int": {"values": [8, 16, 32]}}, 32, True, 32),
        ({"int": {"values": [8, 16, 32]}}, 32, False, 16),
        ({"choice": {"values": ["a", "b"]}}, "a", True, "a"),
    ],
)
def test_exploring_takes_one_step(
    space: dict[str, Any], value: Any, up: bool, expected: Any
) -> None:
    parameter = Parameter.model_validate({"name": "p", **space})

    assert stepped(parameter, value, up=up) == pytest.approx(expected)


def test_exploring_draws_anew_as_often_as_it_is_told() -> None:
    for resample, share in ((0.0, 0.0), (0.25, 0.25), (1.0, 1.0)):
        of = study(4, pbt={"resample": resample}).spec
        assert of.policy.pbt is not None
        made = [
            given.values(perturbed(of, of.policy.pbt, {"rate": 1e-3, "width": 64}, i, 1))["rate"]
            for i in range(400)
        ]
        steps = sum(value in (pytest.approx(5e-4), pytest.approx(2e-3)) for value in made)
        assert steps / 400 == pytest.approx(1 - share, abs=0.08)


def planted(of: Study, count: int) -> Ledger:
    """Trials that have trained two intervals, the second one the better the nearer the rate is to
    1e-2; the first two are the best of both."""
    members = []
    for index in range(count):
        rate = 1e-4 * 1000 ** ((index * 7 % count) / count)
        made = member(index, 1.0, abs(math.log(rate / 1e-2)) / 10, decisions=["Continue"] * 2)
        parameters = [{"name": "rate", "float": rate}, {"name": "width", "int": 64}]
        spec = {**made.spec.to_yaml_fields(), "parameters": parameters}
        fields = {**made.model_dump(by_alias=True), "spec": spec}
        members.append(Trial.model_validate(fields))
    return Ledger.of(of, members)


def test_pb2_goes_where_a_model_of_the_intervals_so_far_promises_most() -> None:
    of = study(16, pbt={"explore": "pb2", "resample": 0, "fixed": ["width"]})
    ledger = planted(of, 16)
    population = population_of(of, ledger.frame)
    assert population is not None
    for index in range(10, 14):
        found = given.values(population.exploit(ledger, ledger.trial(index), 2, 0).parameters)
        assert 3e-3 < float(found["rate"]) < 4e-2
        assert found["width"] == 64


def test_pb2_perturbs_while_little_is_known() -> None:
    def first(explore: str) -> dict[str, Any]:
        of = study(4, pbt={"explore": explore})
        ledger = Ledger.of(of, [member(0, 0.0), member(1, 1.0)])
        population = population_of(of, ledger.frame)
        assert population is not None
        return given.values(population.exploit(ledger, ledger.trial(1), 1, 0).parameters)

    assert first("pb2") == first("perturb")


@pytest.mark.parametrize("explore", ["perturb", "pb2"])
def test_in_another_unit_of_steps_the_same_give_up_for_the_same_values(explore: str) -> None:
    of = study(16, pbt={"explore": explore})
    scaled, ledger = scaled_study(of, 7), planted(of, 16)
    seven = Ledger.of(scaled, [scaled_trial(ledger.trial(index), 7) for index in range(16)])
    here, there = (population_of(each, Frame.of(each)) for each in (of, scaled))
    assert here is not None
    assert there is not None
    for index in range(2, 16):
        found = there.exploit(seven, seven.trial(index), 14, 0)
        assert found.parameters == here.exploit(ledger, ledger.trial(index), 2, 0).parameters
    waits = study(10, pbt={"mode": "Sync", "explore": explore})
    members = waiting(0.5, 0.9, 0.1, 0.7, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4)
    assert exploits(waits, members)
    assert exploits(scaled_study(waits, 7), [scaled_trial(each, 7) for each in members]) == (
        exploits(waits, members)
    )
