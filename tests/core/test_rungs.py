"""Claims about rungs: integers, strictly rising, ending in a full training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletune.core.rungs import Brackets, default_least, fractions, hyperband_sizes, levels
from tests.oracles import asha


@pytest.mark.parametrize(
    ("least", "most", "eta", "expected"),
    [
        (1, 81, 3, (1, 3, 9, 27, 81)),
        (3, 100, 3, (3, 9, 27, 81, 100)),
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),
        (10, 1000, 10, (10, 100, 1000)),
        (2, 2, 3, (2,)),
        (5, 4, 2, (4,)),
        (200, 5400, 3, (200, 600, 1800, 5400)),
    ],
)
def test_levels_are_those_of_the_worked_table(
    least: int, most: int, eta: int, expected: tuple[int, ...]
) -> None:
    assert levels(least, most, eta) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**15), st.integers(2, 64))
def test_levels_agree_with_the_oracle_and_rise_to_a_full_training(
    least: int, most: int, eta: int
) -> None:
    found = levels(least, most, eta)

    assert list(found) == asha.levels(least, eta, most)
    assert found[-1] == most
    assert list(found) == sorted(set(found))


@given(st.integers(1, 10**15), st.integers(2, 64))
def test_the_default_gives_four_rungs_below_a_full_training_or_all_that_fit(
    most: int, eta: int
) -> None:
    least = default_least(most, eta)
    below = len(levels(least, most, eta)) - 1

    assert below == 4 or (least == 1 and below < 4)


@pytest.mark.parametrize(
    ("most", "eta", "expected"),
    [
        (81, 3, (1, 3, 9, 27, 81)),
        (27, 3, (1, 3, 9, 27)),
        (256, 4, (1, 4, 16, 64, 256)),
        (5400, 3, (67, 200, 600, 1800, 5400)),
        (100, 3, (1, 4, 11, 33, 100)),
        (1, 2, (1,)),
    ],
)
def test_hyperband_divides_a_full_training(most: int, eta: int, expected: tuple[int, ...]) -> None:
    assert fractions(0, most, eta) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**15), st.integers(2, 64))
def test_fractions_rise_to_a_full_training_and_lie_at_or_above_the_least(
    least: int, most: int, eta: int
) -> None:
    found = fractions(least, most, eta)

    assert found[-1] == most
    assert list(found) == sorted(set(found))
    assert len(found) == 1 or found[0] >= least
    assert most // eta ** len(found) < least


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.integers(1, 400))
def test_woven_brackets_keep_their_shares_at_any_time(sizes: list[int], trials: int) -> None:
    sizes.sort(reverse=True)
    woven = Brackets(tuple(sizes))
    order = [woven.of(index) for index in range(trials)]

    for bracket, size in enumerate(sizes):
        count = order.count(bracket)
        assert woven.count(bracket, trials) == count
        assert abs(count - trials * size / sum(sizes)) < len(sizes)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 500))
def test_a_trial_is_one_of_its_brackets(sizes: list[int], index: int) -> None:
    following = Brackets(tuple(sizes), woven=False)
    bracket = following.of(index)
    trials = following.trials(bracket)

    assert index in trials
    assert len(trials) == sizes[bracket % len(sizes)]
    assert trials.stop == following.trials(bracket + 1).start


def test_three_brackets_are_woven_in_the_proportions_of_hyperband() -> None:
    woven = Brackets(hyperband_sizes(5, 3)[:3])  # 81, 34 and 15

    assert [woven.of(index) for index in range(12)] == [0, 1, 0, 0, 2, 0, 1, 0, 0, 1, 0, 0]
