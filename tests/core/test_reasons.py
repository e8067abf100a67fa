"""Claims about reasons: every decision is told in words and numbers."""

from typing import get_args

import pytest

from scaletune.api.action import Decide
from scaletune.api.record import DecisionWord, Evidence
from scaletune.core.reasons import explain
from tests.core import given


@pytest.mark.parametrize(
    ("word", "evidence", "expected"),
    [
        (
            "Continue",
            Evidence(n=5, rank=1, quota=2),
            "ranked 2 of 5 at step 2: the best 2 go on",
        ),
        (
            "Continue",
            Evidence(n=5, rank=4, quota=1),
            "ranked 5 of 5 at step 2: the best 1 goes on, and this one, which is at all centers",
        ),
        (
            "Stop",
            Evidence(n=5, rank=4, quota=2, against=3),
            "ranked 5 of 5 at step 2: the best 2 go on, down to s-0003",
        ),
        (
            "Stop",
            Evidence(n=5, rank=4, quota=2),
            "failed at step 2: counts as worse than every value of its rung",
        ),
        (
            "Pause",
            Evidence(n=3, rank=0, quota=1),
            "ranked 1 of 3 at step 2: pauses; the best 1 goes on",
        ),
        (
            "Pause",
            Evidence(n=2, rank=0, quota=0),
            "ranked 1 of 2 at step 2: pauses; none goes on before more have come",
        ),
        (
            "Promote",
            Evidence(n=3, rank=0, quota=1),
            "ranked 1 of 3 at step 2: goes on to the next rung",
        ),
        ("Complete", Evidence(n=1, rank=0), "trained in full; ranked 1 of 1 at step 2"),
        (
            "Void",
            Evidence(),
            "the report at step 2 does not count: the trial had been stopped before it",
        ),
    ],
)
def test_a_decision_is_told_in_words_and_numbers(
    word: DecisionWord, evidence: Evidence, expected: str
) -> None:
    assert explain(given.study(), Decide(0, 2, word, 1, evidence)) == expected


def test_any_decision_can_be_told() -> None:
    for word in get_args(DecisionWord):
        assert explain(given.study(), Decide(0, 2, word, 1))
