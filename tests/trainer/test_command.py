"""Parameters in the command line."""

from __future__ import annotations

import pytest

from scaletune_trainer.command import with_parameters
from scaletune_trainer.failure import UserError
from scaletune_trainer.wire import Value

PARAMETERS: dict[str, Value] = {
    "learning_rate": 0.00001,
    "size": 64,
    "half": 2.0,
    "name": 'a "b" $(params.size)',
    "tied": False,
}


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--lr=$(params.learning_rate)", "--lr=1e-05"),
        ("$(params.size)x$(params.size)", "64x64"),
        ("$(params.half)", "2.0"),
        ("$(params.tied)", "false"),
        ("$(params.name)", 'a "b" $(params.size)'),
        ("$$(params.size)", "$(params.size)"),
        ("$(HOME) ${params.size} $params.size", "$(HOME) ${params.size} $params.size"),
    ],
)
def test_a_reference_becomes_plain_text(argument: str, expected: str) -> None:
    assert with_parameters(["run", argument], PARAMETERS) == ["run", expected]


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UserError, match="no parameter 'rate'"):
        with_parameters(["$(params.rate)"], PARAMETERS)
