"""Claims of the paper's and the first implementation's rules for carbs, against worked tables."""

import math

import numpy as np
import pytest

from scaletune.core.numerics import original, pareto
from scaletune.core.numerics.acquisition import log_expected_improvement
from scaletune.core.numerics.basic_space import Dimension, Space
from scaletune.core.numerics.gaussian_process import Hyperparameters, Surrogate
from scaletune.core.numerics.normal import log_normal_distribution, normal_distribution

WHOLE = Dimension("Linear", 4.0, 1.0)


@pytest.mark.parametrize(
    ("dimension", "value", "at"),
    [
        (Dimension("Log"), 0.001, -3.0),
        (Dimension("Log", 0.5), 0.001, -6.0),
        (Dimension("Linear", 4.0), 10.0, 2.5),
        (Dimension("Logit"), 0.9, 0.9542425094),
    ],
    ids=["log", "log in steps of half a decade", "linear in steps of 4", "logit"],
)
def test_a_value_has_a_place_in_basic_space_and_comes_back(
    dimension: Dimension, value: float, at: float
) -> None:
    found = dimension.basic(np.array([value]))

    assert found[0] == pytest.approx(at, abs=1e-9)
    assert dimension.values(found)[0] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("dimension", "at", "value"),
    [(Dimension("Log", 1.0, 8.0), 1.7, 48.0), (WHOLE, 0.625, 2.0), (WHOLE, 0.875, 4.0)],
    ids=["multiples of 8", "two and a half", "three and a half"],
)
def test_whole_numbers_are_rounded_in_their_own_units_half_to_even(
    dimension: Dimension, at: float, value: float
) -> None:
    assert dimension.values(np.array([at]))[0] == value


@pytest.mark.parametrize("scale", ["Linear", "Log", "Logit"])
def test_the_way_to_basic_space_and_back_is_exact_and_monotone(scale: str) -> None:
    dimension = Dimension(scale, 0.7)  # type: ignore[arg-type]
    at = np.linspace(-3, 3, 101)
    values = dimension.values(at)

    assert np.abs(dimension.basic(values) - at).max() < 1e-9
    assert (np.diff(values) > 0).all()


def test_points_stay_in_their_space_whatever_the_step() -> None:
    space = Space(
        [Dimension("Log", 0.5, 1.0, 1.0, 64.0), Dimension("Linear", 1.0, 1.0, 0.0, 2.0, 3)]
    )
    random = np.random.Generator(np.random.PCG64(0))
    points = space.drawn(space.low, space.high, random.random((200, 2)))
    moved = space.moved(points, random.normal(size=(200, 2)) * 9, random.random((2, 200, 2)))
    sizes, kinds = (one.values(at) for one, at in zip(space.dimensions, moved.T, strict=True))

    assert set(sizes) <= set(range(1, 65))
    assert set(kinds) == {0, 1, 2}
    assert space.columns(moved).shape == (200, 4)


def groups(*each: tuple[float, tuple[float, ...]]) -> tuple[list[pareto.Group], np.ndarray]:
    """Groups of these costs and scores, and all costs."""
    members = [(name, cost, score) for name, (cost, scores) in enumerate(each) for score in scores]
    names, costs, scores = zip(*members, strict=True)
    return pareto.groups(names, np.array(scores), np.array(costs)), np.array(costs)


REPEATED = ((1.0, (0.0, -1.0)), (2.0, (-0.6,)), (3.0, (-0.55, -0.75)), (4.0, (-0.8,)))
SINGLE = tuple(
    (cost, (score,))
    for cost, score in [
        *[(1.0, 3.0), (2.0, 2.5), (3.0, 2.6), (4.0, 2.2), (5.0, 2.2), (6.0, 2.4), (8.0, 2.0)]
    ]
)


@pytest.mark.parametrize(("cautious", "expected"), [(False, [1, 2, 3, 4]), (True, [1, 3, 4])])
def test_a_single_lucky_run_leads_no_cautious_front(cautious: bool, expected: list[int]) -> None:
    found = pareto.front(*groups(*REPEATED), cautious=cautious)

    assert [group.cost for group in found] == expected


@pytest.mark.parametrize(
    ("cheap", "expected"), [(0.2, [2, 4, 8]), (0.0, [1, 2, 4, 8]), (0.5, [4, 8])]
)
def test_of_the_cheap_ones_only_the_best_leads_and_a_tie_does_not(
    cheap: float, expected: list[int]
) -> None:
    found = pareto.front(*groups(*SINGLE), cautious=False, cheap=cheap)

    assert [group.cost for group in found] == expected


def test_the_group_with_the_fewest_runs_is_repeated_and_of_those_the_cheapest() -> None:
    found, _ = groups((1, (3.0, 3.0)), (2, (2.0,)), (3, (1.5, 1.5)), (4, (1.0,)))

    assert pareto.to_repeat(found, [0, 0, 0, 0]) == 1
    assert pareto.to_repeat(found, [0, 1, 0, 0]) == 3


@pytest.mark.parametrize(
    ("mean", "variance", "target", "improvement"),
    [
        (0, 1, 1, 0.083315470588),
        (1, 0.25, 1, 0.199471140201),
        (0, 1, 0, 0.398942280401),
        (2, 4, 1.5, 1.07268939643),
        (-8, 1, 1, 1.2247791808e-20),
    ],
)
def test_the_expected_improvement_is_exact_near_and_far(
    mean: float, variance: float, target: float, improvement: float
) -> None:
    found = log_expected_improvement(-np.array([mean]), np.sqrt([variance]), -target)

    assert found[0] == pytest.approx(math.log(improvement), abs=1e-5)


def test_the_logarithm_of_an_expected_improvement_never_underflows() -> None:
    found = log_expected_improvement(np.array([40.0]), np.array([1.0]), 0.0)

    assert found[0] == pytest.approx(-808.3, abs=0.1)


def test_the_best_so_far_falls_with_cost() -> None:
    costs, scores = np.array([3.0, 1.0, 2.0]), np.array([0.5, 2.0, 3.0])
    found = pareto.best_so_far(costs, scores, np.array([0.5, 1.0, 2.5, 9.0]), without=7.0)

    assert list(found) == [7.0, 2.0, 2.0, 0.5]


def test_the_normal_distribution_and_its_logarithm() -> None:
    z = np.array([-40.0, -31.0, -29.0, 0.0, 1.959964])

    assert normal_distribution(z)[-2:] == pytest.approx([0.5, 0.975])
    assert log_normal_distribution(z) == pytest.approx(
        [-804.608, -484.855, -424.786, math.log(0.5), math.log(0.975)], rel=1e-4
    )


def test_the_original_cuts_the_quantiles_of_the_best_and_the_worst() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    values = np.sort(random.normal(size=100))
    found = original.quantiles(values)

    assert found[[0, -1]] == pytest.approx([-original.CUT, original.CUT], abs=1e-3)
    assert 1.5 < found[-2] < 4
    assert (np.diff(found) >= 0).all()
    assert found == pytest.approx(-original.quantiles(-values))


def test_values_drawn_together_have_the_covariance_of_the_process() -> None:
    rows, at = np.array([[0.0], [1.0]]), np.array([[0.4], [0.45], [3.0]])
    process = Surrogate(rows, np.array([1.0, -1.0]), Hyperparameters((0.5,), 1.0, 0.01))
    random = np.random.Generator(np.random.PCG64(0))
    drawn = np.array([process.drawn(at, random.normal(size=3)) for _ in range(4000)])
    mean, deviation = process.expect(at, at[:0])

    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.06)
    assert drawn.std(axis=0) == pytest.approx(deviation, rel=0.06)
    assert np.corrcoef(drawn.T)[0, 1] > 0.9
