"""Whatever stands in a document, it is judged without a crash, and what passes is a Study."""

from typing import Any

from hypothesis import given

from scaletune.api import validation
from scaletune.api.study import Study
from tests.api import studies
from tests.api.anything import CHANGES, SPECS


@given(SPECS)
def test_any_spec_is_judged(spec: Any) -> None:
    document = {**studies.example(), "spec": spec}

    _judge(document)


@given(CHANGES)
def test_any_change_of_a_right_study_is_judged(change: dict[str, Any]) -> None:
    document = studies.example()
    document["spec"] = {**document["spec"], **change}

    _judge(document)
    validation.problems(document, old=studies.example())
    validation.problems_on_a_cluster(document)


def _judge(document: dict[str, Any]) -> None:
    if not validation.problems(document):
        assert isinstance(validation.parse_study(document), Study)
