"""Claims about the Study that goes on where scaling laws lead."""

import pytest

from scaletune.api.policy import COST_MAX
from scaletune.api.study import GPU_HOURS_MAX
from scaletune.api.validation import parse_study
from scaletune.core.larger import larger_study
from tests.core import test_laws as given_laws


def test_bounds_that_cannot_be_multiplied_further_stay_as_large_as_a_study_may_have_them() -> None:
    one = given_laws.study(
        policy={"carbs": {"costMax": 9e14}},
        budget={"trials": 80, "gpuHours": 9e6},
        template={"pod": given_laws.POD},
    )
    larger = parse_study(larger_study(one, given_laws.told(0), 10))

    assert larger.spec.policy.carbs is not None
    assert larger.spec.policy.carbs.cost_max == COST_MAX
    assert larger.spec.budget.gpu_hours == GPU_HOURS_MAX


def test_the_larger_study_is_valid_and_lies_around_what_is_predicted() -> None:
    one = given_laws.study(
        initial=[{"lr": 1e-3}],
        budget={"trials": 80, "gpuHours": 5},
        template={"pod": given_laws.POD},
    )
    found = given_laws.told(0)
    larger = parse_study(larger_study(one, found, 10))
    size = larger.spec.parameters[0].space
    times = found.predict(10)["N"].value / found.laws[0].now  # type: ignore[operator]

    assert larger.metadata.name == "s-x10"
    assert larger.spec.initial == ()
    assert larger.spec.budget.gpu_hours == 50
    assert size.center == found.predict(10)["N"].value
    assert times == pytest.approx(10 ** found.laws[0].exponent, rel=0.01)
