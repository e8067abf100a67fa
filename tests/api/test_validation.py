"""`scaletune validate` says everything that is wrong with a Study, where, and what to do."""

import pytest

from scaletune.api import validation
from tests.api import studies
from tests.api.studies import Case


@pytest.mark.parametrize("case", studies.wrong(), ids=str)
def test_a_wrong_study_is_refused_by_field_and_remedy(case: Case) -> None:
    found = validation.problems(case.document)

    assert [str(each) for each in found if each.path == case.path and case.message in each.message]


@pytest.mark.parametrize("case", studies.right(), ids=str)
def test_a_right_study_is_taken(case: Case) -> None:
    study = validation.parse_study(case.document)

    hints = validation.problems_on_a_cluster(case.document)
    assert study.metadata.name == case.document["metadata"]["name"]
    assert [hint.path for hint in hints] == ([case.path] if case.path else [])
