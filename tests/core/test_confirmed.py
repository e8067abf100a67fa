"""What training the best again has shown: means, ties, and what the search was worth."""

import math

import pytest

from scaletune.api.confirmation import Confirmation
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.confirmed import confirmation
from scaletune.core.ledger import Ledger
from scaletune.core.summarise import summarise
from tests.core import given
from tests.core.confirming import SEARCH, study, trained_again


def shown(found: Confirmation | None) -> list[tuple[str, str]]:
    assert found is not None
    return [(each.trial, each.standing) for each in found.configurations]


def settled(of: Study, *trials: Trial) -> Confirmation | None:
    return confirmation(of, Ledger.of(of, trials), finished=False)


def test_the_table_of_the_manual() -> None:
    of = study(confirm={"repeats": 3})
    values = {
        1: (1.00, 1.10, 1.05),
        3: (1.02, 1.03, 1.04),
        None: (1.20, 1.25, 1.22),
    }
    again = [
        trained_again(candidate, number, value, 10 + number)
        for candidate, row in values.items()
        for number, value in enumerate(row)
    ]
    found = settled(of, *SEARCH, *again)
    assert found is not None

    means = [each.mean for each in found.configurations]
    assert means == pytest.approx([1.03, 1.05, 1.22333], abs=1e-5)
    assert shown(found) == [("s-0003", "Winner"), ("s-0001", "Tied"), ("s-control-0", "Behind")]
    assert found.deviation == pytest.approx(0.0328, abs=1e-4)
    assert found.configurations[1].standard_error == pytest.approx(0.05 / math.sqrt(3))
    assert found.rank_correlation == pytest.approx(-1.0)


def test_the_metric_and_its_direction_may_be_others_than_the_searchs() -> None:
    of = study(confirm={"metric": "accuracy", "goal": "Maximize", "repeats": 1})
    again = [trained_again(1, 0, 0.7, 9), trained_again(3, 0, 0.9, 10)]
    found = settled(of, *SEARCH, *again)
    assert found is not None

    assert found.metric == "accuracy"
    assert shown(found)[0] == ("s-0003", "Winner")


def test_a_configuration_that_diverges_once_is_behind_those_that_never_do() -> None:
    of = study()
    again = [
        trained_again(1, 0, 0.1, 9),
        trained_again(1, 1, None, 10),
        trained_again(3, 0, 0.2, 11),
        trained_again(3, 1, 0.2, 12),
    ]

    assert shown(settled(of, *SEARCH, *again)) == [("s-0003", "Winner"), ("s-0001", "Behind")]


def test_while_a_training_is_open_nobody_has_won() -> None:
    of = study()
    found = settled(of, *SEARCH, trained_again(1, 0, 0.1, 9))
    status = summarise(of, Ledger.of(of, [*SEARCH, trained_again(1, 0, 0.1, 9)]), given.NOW)

    assert shown(found) == [("s-0001", "Open")]
    assert status.best is not None
    assert (status.best.trial, status.best.value) == ("s-0001", 0.10)
