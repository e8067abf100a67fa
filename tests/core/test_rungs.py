"""Claims about rungs: integers, strictly rising, ending in a full training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletune.core.rungs import default_least, levels
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
