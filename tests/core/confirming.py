"""Studies that confirm, with a search and trainings that have ended."""

from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import Repeat
from tests.core import given

CENTERED = {"name": "learning_rate", "float": {"min": 0.0, "max": 1.0, "center": 0.5}}


def study(**spec: Any) -> Study:
    """Everything in full at one milestone, with two trainings of the best two to confirm."""
    confirm = {"top": 2, "repeats": 2, **spec.pop("confirm", {})}
    fields = {"mode": "Full", "parameters": [CENTERED], "budget": {"trials": 4}}
    return given.study(**{**fields, "confirm": confirm, **spec})


def searched(index: int, value: float | None, learning_rate: float, **more: Any) -> Trial:
    """A trial of the search that was trained in full."""
    word = "Stop" if value is None else "Complete"
    state = "Failed" if value is None else "Completed"
    record = given.record(4, value, index + 1, word, deviceSeconds=more.get("deviceSeconds", 0))
    found = given.trial(index, record, until=4, state=state, **more)
    parameters = [{"name": "learning_rate", "float": learning_rate}]
    return given.intended(found, parameters=_typed(parameters))


def trained_again(candidate: int | None, number: int, value: float | None, at: int) -> Trial:
    """A training for confirmation that has ended."""
    index = Repeat(candidate, number).index
    word = "Stop" if value is None else "Complete"
    failure = None if value is not None else {"kind": "Diverged", "number": at}
    state = "Failed" if value is None else "Completed"
    found = given.trial(
        index, given.record(4, value, at, word), until=4, state=state, failure=failure
    )
    role = "Control" if candidate is None else "Confirm"
    rate = 0.5 if candidate is None else RATES.get(candidate, 0.5)
    parameters = _typed([{"name": "learning_rate", "float": rate}])
    update = {"role": role, "candidate": candidate, "repeat": number, "parameters": parameters}
    return given.intended(found, **update)


def _typed(parameters: list[dict[str, Any]]) -> Any:
    return Trial.model_validate(
        {"metadata": {"name": "s"}, "spec": {"parameters": parameters}}
    ).spec.parameters


RATES = {0: 0.9, 1: 0.2, 2: 0.21, 3: 0.7}  # those of 1 and 2 are as good as the same
SEARCH = (
    searched(0, 0.30, RATES[0]),
    searched(1, 0.10, RATES[1]),
    searched(2, 0.11, RATES[2]),
    searched(3, 0.20, RATES[3]),
)
