"""Claims about scaling rules: the sampled value holds at the reference, both are recorded."""

from typing import Any

import pytest

from scaletune.core.ledger import Ledger
from scaletune.core.samplers.sampler import configuration
from scaletune.core.scaling import linear, resolve
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
    assert linear(0.1, 1024, 256) == 0.4
    assert linear(0.1, 8192, 256) == pytest.approx(3.2)


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
