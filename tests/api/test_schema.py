"""The schemas in crds/ are what the types say, and keep to the rules of Kubernetes' API linter."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from scaletune.api import admission, reader, schema
from scaletune.api.rules import VALIDATIONS
from scaletune.api.structural import Schema, structural
from scaletune.api.study import Study
from scaletune.api.trial import Trial

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"


def _walk(part: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, part
    for name, child in part.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}")
    for inside in ("items", "additionalProperties"):
        if inside in part:
            yield from _walk(part[inside], f"{path}[]")


PARTS = [
    (path, part)
    for model in (Study, Trial)
    for name in ("spec", "status")
    for path, part in _walk(
        schema.schema_of(model)["properties"][name], f"{model.__name__.lower()}.{name}"
    )
]


@pytest.mark.parametrize("folder", [CRDS, ROOT / "helm/scaletune/crd"], ids=["crds", "chart"])
def test_the_files_are_what_the_types_say(folder: Path) -> None:
    """Run `make crds` when this fails."""
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == (
        schema.files()
    )


def test_they_are_written_by_one_command(tmp_path: Path) -> None:
    schema.main(tmp_path / "crds")

    written = (tmp_path / "crds" / "trials.yaml").read_text(encoding="utf-8")
    assert reader.read(written)[0]["metadata"]["name"] == "trials.scaletune.dev"


def _those(is_wrong: Callable[[str, Schema], bool]) -> list[str]:
    return [path for path, part in PARTS if is_wrong(path, part)]


def test_every_field_is_explained_by_sentences_that_begin_with_its_name() -> None:
    def is_wrong(path: str, part: Schema) -> bool:
        text, name = part.get("description", ""), path.rsplit(".", 1)[1]
        return not (text.startswith(f"{name} ") and text.endswith("."))

    assert _those(lambda path, part: not path.endswith("[]") and is_wrong(path, part)) == []


def test_nothing_is_a_boolean_since_an_enum_can_grow_a_third_value() -> None:
    assert _those(lambda path, part: part.get("type") == "boolean") == []


def test_every_text_is_bounded() -> None:
    bounds = {"maxLength", "enum"}
    assert (
        _those(lambda path, part: part.get("type") == "string" and not bounds & part.keys()) == []
    )


def test_every_list_is_bounded_and_says_how_it_merges() -> None:
    words = {"maxItems", "x-kubernetes-list-type"}
    assert _those(lambda path, part: part.get("type") == "array" and not words <= part.keys()) == []


def test_every_choice_is_in_camel_case() -> None:
    def is_wrong(word: str) -> bool:
        return not (word[0].isupper() and word.isalpha())

    # Ways to explore are named as policies and samplers are.
    named = "study.spec.policy.pbt.explore"
    found = _those(lambda path, part: any(map(is_wrong, part.get("enum", ()))))
    assert [path for path in found if path != named] == []


def test_there_is_no_phase_no_null_and_no_union() -> None:
    words = {"anyOf", "oneOf", "allOf", "nullable", "$ref"}
    assert _those(lambda path, part: path.endswith(".phase") or bool(words & part.keys())) == []
    assert _those(lambda path, part: "None" in str(part.get("default", ""))) == []


def test_only_the_pod_template_configurations_and_the_one_union_are_opaque() -> None:
    opaque = {path for path, part in PARTS if "x-kubernetes-preserve-unknown-fields" in part}

    listed = "study.spec.sampler.list.configurations[]"
    seen = "study.status.prior.observations[].configurations[]"
    taken_over = {"study.status.prior.configurations[]", "study.status.prior.center", seen}
    scheduled = "study.spec.schedule[].values"
    added = "study.spec.warmStart[].added"
    assert opaque == {
        "study.spec.template.pod",
        "study.spec.initial[]",
        listed,
        "study.spec.training.max",
        added,
        scheduled,
        *taken_over,
    }


@pytest.mark.parametrize("model", [Study, Trial])
def test_conditions_come_first_in_a_status(model: type[BaseModel]) -> None:
    status = schema.schema_of(model)["properties"]["status"]

    assert next(iter(status["properties"])) == "conditions"
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_nothing_is_filled_into_a_status() -> None:
    assert not [path for path, part in PARTS if ".status" in path and "default" in part]


def test_every_rule_says_what_to_do_in_one_line() -> None:
    messages = [rule["message"] for _, part in PARTS for rule in part.get(VALIDATIONS, ())]
    messages += [check.message for check in (*admission.CHECKS, *admission.CLUSTER_CHECKS)]

    assert [each for each in messages if not 10 < len(each) < 160 or "\n" in each] == []
    assert [each for each in messages if each.endswith(".")] == []


def test_a_type_that_cannot_be_a_structural_schema_is_an_error() -> None:
    class Node(BaseModel):
        child: "Node | None" = None

    class Either(BaseModel):
        value: int | str

    class Root(BaseModel):
        node: Node

    for model, message in ((Either, "is a union"), (Root, "holds itself")):
        with pytest.raises(TypeError, match=message):
            structural(model)


def test_a_rule_of_the_type_and_one_of_the_field_add_up() -> None:
    spec: Any = schema.schema_of(Study)["properties"]["spec"]["properties"]

    assert len(spec["sampler"][VALIDATIONS]) == 2
