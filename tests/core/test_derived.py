"""Another Study that follows from one."""

from scaletune.api.study import Study
from scaletune.core.derived import derived, spec_of
from tests.core import given


def test_what_is_changed_in_the_copy_leaves_the_study_as_it_was() -> None:
    study = given.study(initial=[{"lr": 0.5}])
    spec = spec_of(study)
    spec["initial"][0]["lr"] = 0.25
    spec["template"]["pod"]["spec"] = {}

    assert study == given.study(initial=[{"lr": 0.5}])


def test_a_derived_study_is_a_study_again() -> None:
    study = given.study()

    assert Study.model_validate(derived(study, "-again", spec_of(study))).spec == study.spec


def test_a_long_name_is_cut_before_the_suffix_and_ends_in_no_hyphen() -> None:
    study = given.study()
    metadata = study.metadata.model_copy(update={"name": "a" * 33 + "-" + "b" * 6})
    long = study.model_copy(update={"metadata": metadata})

    assert derived(study, "-x", {})["metadata"]["name"] == f"{study.metadata.name}-x"
    assert derived(long, "-again", {})["metadata"]["name"] == "a" * 33 + "-again"
