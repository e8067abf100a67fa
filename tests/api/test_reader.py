"""YAML is read as kubectl reads it, and written so that every reader reads the same."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scaletune.api import reader
from scaletune.api.reader import UnreadableError
from tests.api import scalars

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")
_TEXTS = st.text(_CHARACTERS) | st.sampled_from(list(scalars.READ))
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("text", "value"), scalars.READ.items(), ids=list(scalars.READ))
def test_a_scalar_is_what_kubectl_takes_it_for(text: str, value: object) -> None:
    [document] = reader.read(f"value: {text}")

    assert document == {"value": value}
    assert type(document["value"]) is type(value)


@pytest.mark.parametrize("text", scalars.REFUSED)
def test_what_the_server_could_not_take_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"study\.yaml, line \d+, column \d+: "):
        reader.read(f"kind: Study\nvalue: {text}\n", "study.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is given twice"),
        ("on: 1\n", "line 1, column 1: YAML reads the key 'on' as a bool; put it in quotes"),
        ("{1: a, 1: b}\n", "the key '1' is given twice"),
        ("{[1]: a}\n", "a key must be text"),
        ("v: !!binary aGk=\n", "tag:yaml.org,2002:binary"),
        ("- 1\n", "a document must be a mapping with apiVersion, kind, metadata and spec"),
        ("Study\n", "not 'Study'"),
        ("a: \x00\n", "study.yaml: "),
    ],
)
def test_what_kubectl_would_silently_take_for_something_else_is_refused(
    text: str, message: str
) -> None:
    with pytest.raises(UnreadableError) as refusal:
        reader.read(text, "study.yaml")

    assert message in str(refusal.value)


def test_a_file_holds_several_documents_and_lists_stand_for_their_items() -> None:
    text = "a: 1\n---\n---\n# nothing\n---\nkind: List\nitems: [{b: 2}, {c: 3}]\n...\n"

    assert reader.read(text) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_anchors_and_merges_are_resolved_as_kubectl_does() -> None:
    text = """
    base: &base {lr: 1, wd: 2}
    middle: &middle {<<: *base, lr: 3}
    top: {<<: *middle, eta: 4}
    first: {<<: [*middle, *base]}
    again: [*base, *base]
    """

    [document] = reader.read(text)

    assert document["top"] == {"lr": 3, "wd": 2, "eta": 4}
    assert document["first"] == {"lr": 3, "wd": 2}
    assert document["again"] == [{"lr": 1, "wd": 2}] * 2


def test_whole_numbers_as_keys_are_text() -> None:
    assert reader.read("{1: a, 0x10: b, 2026-01-01: c}") == [
        {"1": "a", "16": "b", "2026-01-01": "c"}
    ]


@given(st.dictionaries(_TEXTS, _VALUES))
def test_what_is_written_reads_the_same_here_and_in_ordinary_yaml(value: dict[str, object]) -> None:
    text = reader.write(value)

    assert reader.read(text) == [value]
    assert yaml.safe_load(text) == value


def test_small_numbers_are_written_as_numbers_for_everybody() -> None:
    assert reader.write({"lr": 1e-05, "big": 1e22}) == "lr: 1.0e-05\nbig: 1.0e+22\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        reader.write({"value": value})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UnreadableError, match=r"missing\.yaml: No such file"):
        reader.read_file(tmp_path / "missing.yaml")
    with pytest.raises(UnreadableError, match=r"binary\.yaml: not a text in UTF-8"):
        reader.read_file(binary)


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path: Path) -> None:
    marked = tmp_path / "marked.yaml"
    marked.write_text("a: 1\n", encoding="utf-8-sig")

    assert reader.read_file(marked) == [{"a": 1}]
