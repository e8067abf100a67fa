"""`scaletune validate` says everything that is wrong with a Study, where, and what to do."""

from collections.abc import Iterator
from typing import Any

import pytest

from scaletune.api import admission, expressions, validation
from scaletune.api.expressions import Problem
from scaletune.api.model import API_VERSION
from scaletune.api.rules import VALIDATIONS
from scaletune.api.schema import schema_of
from scaletune.api.study import Study
from scaletune.api.validation import InvalidError
from tests.api import changes, studies
from tests.api.studies import Case


@pytest.mark.parametrize("case", studies.wrong(), ids=str)
def test_a_wrong_study_is_refused_by_field_and_remedy(case: Case) -> None:
    found = validation.problems(case.document)

    assert [str(each) for each in found if each.path == case.path and case.message in each.message]


def test_a_name_that_yaml_reads_as_a_boolean_is_said_to_need_quotes() -> None:
    (case,) = (each for each in studies.wrong() if "that YAML reads as booleans" in str(each))

    assert "not true; YAML reads words such as on, no and N so: quote it" in {
        problem.message.removeprefix("must be of type string, ")
        for problem in validation.problems(case.document)
    }


@pytest.mark.parametrize("case", studies.right(), ids=str)
def test_a_right_study_is_taken(case: Case) -> None:
    study = validation.parse_study(case.document)

    hints = validation.problems_on_a_cluster(case.document)
    assert study.metadata.name == case.document["metadata"]["name"]
    assert [hint.path for hint in hints] == ([case.path] if case.path else [])


@pytest.mark.parametrize("case", studies.documented(), ids=str)
def test_a_study_in_the_documentation_is_right(case: Case) -> None:
    assert validation.problems(case.document) == []


@pytest.mark.parametrize("case", studies.right(), ids=str)
def test_every_rule_can_be_asked_of_a_right_study(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that cannot be evaluated is passed over, since it should mean a wrong type."""
    monkeypatch.setattr(expressions, "RULE_ERRORS", ())

    assert validation.problems(case.document, old=case.document) == []


def test_every_rule_is_broken_by_some_wrong_study() -> None:
    broken = {
        problem.message
        for case in studies.wrong()
        for problem in validation.problems(case.document)
    }
    for change in (*changes.IMMUTABLE.values(), *changes.REMOVED.values()):
        after = validation.problems(studies.example(**change), old=studies.example())
        broken |= {problem.message for problem in after}
    relisted = studies.example(**changes.RELISTED)
    listed = validation.problems(relisted, old=studies.example(**changes.LISTED))
    broken |= {problem.message for problem in listed}
    for change in changes.UNCONFIRMED.values():
        broken |= {problem.message for problem in _unconfirmed(change)}

    unbroken = [
        message for message in _rule_messages() if not any(message in each for each in broken)
    ]
    assert unbroken == []


def _rule_messages() -> Iterator[str]:
    parts = [schema_of(Study)]
    while parts:
        part = parts.pop()
        yield from (rule["message"] for rule in part.get(VALIDATIONS, ()))
        parts += part.get("properties", {}).values()
        parts += [part["items"]] if "items" in part else []
    # A message that is computed begins with what is wrong; its fixed part is the remedy.
    yield from (check.message for check in admission.CHECKS if not check.expression)


@pytest.mark.parametrize("field", changes.IMMUTABLE)
def test_what_a_study_is_cannot_be_changed(field: str) -> None:
    after = studies.example(**changes.IMMUTABLE[field])

    found = validation.problems(after, old=studies.example())

    message = f"{field} cannot change after creation; make a new Study"
    assert found == [Problem(f"spec.{field}", message)]


@pytest.mark.parametrize("field", changes.REMOVED)
def test_nor_can_a_part_of_it_be_removed_or_added(field: str) -> None:
    without, with_it = studies.example(**changes.REMOVED[field]), studies.example()

    assert f"spec.{field}" in {each.path for each in validation.problems(without, old=with_it)}
    assert f"spec.{field}" in {each.path for each in validation.problems(with_it, old=without)}


@pytest.mark.parametrize("field", changes.UNCONFIRMED)
def test_nor_can_what_the_best_are_confirmed_by(field: str) -> None:
    assert [each.path for each in _unconfirmed(changes.UNCONFIRMED[field])] == [f"spec.{field}"]


def _unconfirmed(change: changes.Change) -> list[Problem]:
    before = studies.example(**changes.CONFIRMED)
    return validation.problems(studies.example(**change), old=before)


@pytest.mark.parametrize("field", changes.MUTABLE)
def test_what_a_study_may_use_can_be_changed(field: str) -> None:
    after = studies.example(**changes.MUTABLE[field])

    assert validation.problems(after, old=studies.example()) == []


def test_everything_wrong_is_said_at_once() -> None:
    document = studies.example(
        paralelism=4, seed="x", state="running", objectives=None, budget={"duration": "2d"}
    )

    found = {each.path for each in validation.problems(document)}

    assert found == {
        "spec.paralelism",
        "spec.seed",
        "spec.state",
        "spec.objectives",
        "spec.budget.duration",
    }


def test_a_misspelt_field_is_answered_with_the_nearest() -> None:
    [problem] = validation.problems(studies.example(template={"stallSecond": 3}))

    assert str(problem) == "spec.template.stallSecond: unknown field; did you mean stallSeconds?"


def test_a_field_unlike_any_other_is_answered_with_all_of_them() -> None:
    [problem] = validation.problems(studies.example(sampler={"xyz": {}}))

    assert problem.message == "unknown field; known are adaptive, random, sobol, grid, list"


def test_a_field_that_is_missing_is_explained() -> None:
    [problem] = validation.problems(studies.example(training={"unit": None}))

    assert problem.message.startswith("Required value: unit is what training.max")


def test_an_invalid_study_is_one_error_with_a_line_for_each_problem() -> None:
    with pytest.raises(InvalidError) as refusal:
        validation.parse_study(studies.example(seed=-1, parallelism=0))

    assert str(refusal.value).splitlines() == [
        "Study example: 2 problems",
        "  spec.seed: should be greater than or equal to 0, not -1",
        "  spec.parallelism: should be greater than or equal to 1, not 0",
    ]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""),
        ({}, "kind"),
        ({"kind": "study"}, "kind"),
        ({"kind": "Study"}, "spec"),
        ({"kind": "Study", "apiVersion": "scaletune.dev/v1"}, "apiVersion"),
        ({"kind": "Study", "metadata": {}}, "metadata.name"),
        ({"kind": "Study", "metadata": "a"}, "metadata"),
        ({"kind": "Study", "spec": []}, "spec"),
        ({"kind": "Study", "spec": {"parameters": [1, None, []]}}, "spec.parameters[1]"),
        ({"kind": "Study", "spec": {"scalingRules": 3, "initial": {}}}, "spec.scalingRules"),
        ({"kind": "Study", "spec": {"template": {"pod": 3}}}, "spec.template.pod"),
        ({"kind": "Study", "metadata": {"labels": {"a": 1}}}, "metadata.labels.a"),
    ],
)
def test_what_is_hardly_a_study_is_refused_all_the_same(document: Any, path: str) -> None:
    assert path in {each.path for each in validation.problems(document)}
    with pytest.raises(InvalidError):
        validation.parse_study(document)


def test_a_trial_is_not_taken_for_a_study() -> None:
    trial = {"apiVersion": API_VERSION, "kind": "Trial", "metadata": {"name": "a-0001"}, "spec": {}}

    assert validation.parse_trial(trial).index == 0
    with pytest.raises(InvalidError, match='kind: Unsupported value: "Trial"'):
        validation.parse_study(trial)


def test_what_a_trial_tries_cannot_be_changed_and_how_far_it_goes_can() -> None:
    trial: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Trial",
        "metadata": {"name": "example-0003"},
        "spec": {"study": "example", "index": 3, "parameters": [{"name": "lr", "float": 0.1}]},
    }

    def after(**change: Any) -> list[str]:
        new = {**trial, "spec": {**trial["spec"], **change}}
        return [each.path for each in validation.problems(new, old=trial)]

    assert after(study="other", index=4, parameters=[]) == [
        "spec.study",
        "spec.index",
        "spec.parameters",
    ]
    assert after(until=600, state="Paused") == []
    assert after(parameters=[{"name": "lr", "float": 0.1, "int": 1}])[-1] == "spec.parameters[0]"


def test_null_is_absent() -> None:
    document = studies.example()
    document["spec"] |= {"seed": None, "scalingRules": None, "policy": {"asha": None}}
    document["status"] = None

    study = validation.parse_study(document)

    assert (study.spec.seed, study.spec.policy.asha) == (0, None)


def test_a_study_as_kubectl_prints_it_is_taken() -> None:
    document = studies.example()
    document["metadata"] |= {
        "managedFields": [{"manager": "kubectl"}],
        "creationTimestamp": None,
        "uid": "1",
        "generation": 1,
    }
    document["status"] = {"conditions": [], "observedGeneration": 1, "created": 3}

    assert validation.parse_study(document).status.created == 3


def test_a_grid_with_no_end_in_sight_is_refused() -> None:
    parameters = [{"name": f"p{i}", "float": {"min": 0, "max": 1}} for i in range(6)]
    grid = studies.example(
        parameters=parameters, sampler={"random": None, "grid": {"points": 5}}, budget=None
    )
    bounded = studies.example(
        parameters=parameters, sampler={"random": None, "grid": {"points": 5}}
    )

    [problem] = validation.problems(grid)
    assert str(problem).startswith("spec.sampler.grid.points: 15625 combinations")
    assert validation.problems(bounded) == []
