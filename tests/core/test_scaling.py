"""Claims about scaling rules: the sampled value holds at the reference, both are recorded."""

import math
from typing import Any

import pytest

from scaletune.core.ledger import Ledger
from scaletune.core.samplers.sampler import configuration
from scaletune.core.scaling import LAWS, linear, power_law, resolve
from tests.core import given

RULE = {"parameter": "lr", "law": "Linear", "with": "batch", "reference": 256}
SEARCHED: list[dict[str, Any]] = [
    {"name": "lr", "float": {"min": 1e-3, "max": 1.0}},
    {"name": "batch", "int": {"min": 16, "max": 8192}},
    {"name": "depth", "int": {"min": 1, "max": 9}},
]


def resolved(lr: float, batch: int) -> dict[str, Any]:
    study = given.study(
        parameters=SEARCHED, scalingRules=[RULE], initial=[{"lr": lr, "batch": batch, "depth": 2}]
    )
    found = configuration(study, Ledger.of(study, ()), 0)
    assert found is not None
    return given.values(resolve(study.spec, found[0]))


def test_the_linear_law_is_that_of_the_paper() -> None:
    assert linear(0.1, 1024 / 256) == 0.4
    assert linear(0.1, 8192 / 256) == pytest.approx(3.2)


def test_the_laws_for_adam_are_those_of_the_paper() -> None:
    assert LAWS["SquareRoot"](1e-3, 4) == pytest.approx(2e-3)
    assert LAWS["AdamBeta"](0.9, 4) == pytest.approx(0.6)
    assert LAWS["AdamBeta"](0.999, 4) == pytest.approx(0.996)
    assert LAWS["AdamEpsilon"](1e-8, 4) == pytest.approx(5e-9)


def test_four_times_the_width_takes_a_quarter_of_the_learning_rate() -> None:
    assert LAWS["MuP"](3e-3, 1024 / 256) == pytest.approx(7.5e-4)


@pytest.mark.parametrize(
    ("exponent", "law"),
    [(1.0, "Linear"), (0.5, "SquareRoot"), (-0.5, "AdamEpsilon"), (-1.0, "MuP")],
)
def test_a_power_law_has_other_laws_as_special_cases(exponent: float, law: str) -> None:
    for k in (0.01, 1, 3, 40.5):
        assert power_law(0.03, k, exponent) == pytest.approx(LAWS[law](0.03, k))


def test_a_power_law_has_the_exponent_that_it_is_given() -> None:
    # The published exponent of the learning rate with the data: eight times them, 1.89 the rate.
    assert power_law(1.0, 8, 0.307) == pytest.approx(1.8935, abs=1e-4)


@pytest.mark.parametrize("law", [*LAWS, "PowerLaw"])
@pytest.mark.parametrize("value", [1e-8, 0.003, 0.1, 0.9, 0.999])
def test_every_law_keeps_the_value_at_the_reference_and_minds_no_steps_on_the_way(
    law: str, value: float
) -> None:
    def scaled(value: float, k: float) -> float:
        return power_law(value, k, -0.713) if law == "PowerLaw" else LAWS[law](value, k)

    assert scaled(value, 1) == value
    for first, second in ((2, 0.375), (0.5, 1.5), (1.25, 1.25)):
        in_steps = scaled(scaled(value, first), second)
        assert in_steps == pytest.approx(scaled(value, first * second), rel=1e-9, abs=1e-12)


def decayed(*rules: dict[str, Any], **values: float) -> dict[str, Any]:
    """What a study of a weight decay, and of what drives it, uses of these values."""
    searched = [{"name": name, "float": {"min": 1e-9, "max": 1e12}} for name in values]
    study = given.study(parameters=searched, scalingRules=list(rules), initial=[values])
    found = configuration(study, Ledger.of(study, ()), 0)
    assert found is not None
    return given.values(resolve(study.spec, found[0]))


TIME_SCALE = {
    "parameter": "decay",
    "law": "AdamWTimeScale",
    "with": "batch",
    "reference": 256,
    "learningRate": {"parameter": "lr", "reference": 3e-3},
    "dataset": {"parameter": "tokens", "reference": 1e9},
}


def test_the_weight_decay_keeps_the_time_scale_of_adamw() -> None:
    used = decayed(TIME_SCALE, decay=0.1, batch=1024.0, lr=1.5e-3, tokens=4e9)
    assert used == {"decay": pytest.approx(0.2)}
    tau, reference = 1024 / (1.5e-3 * used["decay"] * 4e9), 256 / (3e-3 * 0.1 * 1e9)
    assert tau == pytest.approx(reference)

    assert decayed(TIME_SCALE, decay=0.1, batch=256.0, lr=3e-3, tokens=1e9) == {}


def test_a_time_scale_without_a_learning_rate_and_data_follows_the_batch_alone() -> None:
    rule = {name: TIME_SCALE[name] for name in ("parameter", "law", "with", "reference")}

    assert decayed(rule, decay=0.1, batch=1024.0, lr=1.0, tokens=1.0) == {"decay": 0.4}


def test_the_weight_decay_follows_the_learning_rate_that_is_used_whatever_the_order() -> None:
    root = {"parameter": "lr", "law": "SquareRoot", "with": "batch", "reference": 256}
    values = {"decay": 0.1, "batch": 1024.0, "lr": 3e-3, "tokens": 1e9}
    expected = {"lr": pytest.approx(6e-3), "decay": pytest.approx(0.2)}

    assert decayed(TIME_SCALE, root, **values) == expected
    assert decayed(root, TIME_SCALE, **values) == expected


@pytest.mark.parametrize("exponent", [-8, 8])
@pytest.mark.parametrize("reference", [5e-324, 1e308])
def test_values_beyond_all_reason_are_numbers_still(exponent: float, reference: float) -> None:
    rule = {"parameter": "lr", "with": "batch", "reference": reference}

    for law in (*LAWS, "PowerLaw"):
        more = {"exponent": exponent} if law == "PowerLaw" else {}
        assert math.isfinite(decayed({**rule, "law": law, **more}, lr=0.5, batch=1e11)["lr"])
    both = {**TIME_SCALE, "learningRate": {"parameter": "lr", "reference": reference}}
    assert math.isfinite(decayed(both, decay=1e9, batch=1e12, lr=1.0, tokens=1.0)["decay"])


def test_only_what_a_rule_changes_is_resolved() -> None:
    assert resolved(0.1, 1024) == {"lr": 0.4}
    assert resolved(0.1, 256) == {}


def test_the_resolved_value_is_not_clipped_to_the_range() -> None:
    assert resolved(1.0, 8192) == {"lr": 32.0}


def test_a_created_trial_shows_both_values() -> None:
    from scaletune.api.action import Create
    from scaletune.core.plan import plan

    study = given.study(
        parameters=SEARCHED, scalingRules=[RULE], initial=[{"lr": 0.1, "batch": 512, "depth": 2}]
    )
    create = plan(study, [], given.NOW).actions[0]

    assert isinstance(create, Create)
    assert given.values(create.spec.parameters) == {"lr": 0.1, "batch": 512, "depth": 2}
    assert given.values(create.spec.resolved) == {"lr": 0.2}
