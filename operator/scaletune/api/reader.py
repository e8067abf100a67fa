"""Reads and writes YAML exactly as `kubectl` and the API server would.

The same file has to mean the same in every shell, and YAML libraries disagree: to PyYAML `1e-5` is
a string, `1:30` is ninety and `2026-01-01` a date, to `kubectl` they are a number and two strings.
Here PyYAML does the parsing, and scalars are resolved by kubectl's rules (go-yaml v2, then JSON).
What JSON cannot hold is refused (`.inf`, binary), and so is what kubectl silently takes to mean
something else: a key given twice, a key such as `on`.

Which documents make sense is not asked here but in `validation`.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

try:  # libyaml is several times as fast, and the parser that go-yaml was ported from
    from yaml import CSafeDumper as _Emitter
    from yaml import CSafeLoader as _Parser
except ImportError:  # a PyYAML that was built without it
    from yaml import SafeDumper as _Emitter  # type: ignore[assignment]
    from yaml import SafeLoader as _Parser  # type: ignore[assignment]

_YAML: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_YAML}merge"


def _forms(*words: str) -> set[str]:
    """The spellings that count: on, On and ON, but not oN."""
    return {form for word in words for form in (word, word.title(), word.upper())}


_TRUE: Final = {"y", "Y"} | _forms("yes", "true", "on")
_FALSE: Final = {"n", "N"} | _forms("no", "false", "off")
_NULL: Final = {"", "~"} | _forms("null")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGERS: Final = (
    (re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)"), 16),
    (re.compile(r"([-+]?)0[bB]([01]+)"), 2),
    (re.compile(r"([-+]?)0[oO]?([0-7]+)"), 8),
    (re.compile(r"([-+]?)(0|[1-9][0-9]*)"), 10),
)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT64: Final = range(-(2**63), 2**63)


class UnreadableError(ValueError):
    """A text that is no YAML, or that the API server could not take; says where."""


class _Loader(_Parser):
    """PyYAML's safe loader with the scalars of go-yaml and no types beyond JSON's."""

    # Left without `!!binary`, `!!set`, `!!omap`, `!!pairs`: JSON has none of them.
    yaml_constructors: ClassVar = {
        tag: constructor
        for tag, constructor in _Parser.yaml_constructors.items()
        if tag in {None, f"{_YAML}map", f"{_YAML}seq", f"{_YAML}str"}
    }

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The type of a scalar: by its text when it stands without quotes or tag."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _YAML + _resolve(value)[0]
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what `<<` names: a key of one's own wins, then the first source that has it.

        PyYAML's own leaves both and forgets which was whose when merges are chained.
        """
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in _merged(node):
            if not isinstance(source, yaml.MappingNode):
                raise _error(source, "`<<` takes a mapping or a list of mappings")
            self.flatten_mapping(source)
            for pair in source.value:
                merged.setdefault(pair[0].value, pair)
        for key, _ in own:
            merged.pop(key.value, None)
        node.value = [*merged.values(), *own]


def _merged(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from value.value if isinstance(value, yaml.SequenceNode) else [value]


def _construct_scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    kind, value = _resolve(node.value)
    wanted = node.tag.removeprefix(_YAML)
    if kind == "float" and not math.isfinite(value):
        raise _error(node, f"{node.value} is not a number that JSON can hold")
    if kind != wanted and (kind, wanted) != ("int", "float"):
        raise _error(node, f"{node.value!r} is not of the type {wanted}")
    return value


for _kind in ("null", "bool", "int", "float"):
    _Loader.add_constructor(f"{_YAML}{_kind}", _construct_scalar)
for _kind in ("timestamp", "merge"):  # a date is text to kubectl, and so is `<<` as a value
    _Loader.add_constructor(f"{_YAML}{_kind}", lambda loader, node: node.value)


class _Dumper(_Emitter):
    """Quotes every string that this reader, or an ordinary YAML library, would not call one."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The type a reader would give to a scalar; PyYAML quotes a string if it is not `str`."""
        ordinary = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if kind is yaml.ScalarNode and implicit[0] and ordinary == f"{_YAML}str":
            return _YAML + _resolve(value)[0]
        return ordinary

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value out each time: anchors are for people."""
        return True


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written: JSON has no such number")
    text = repr(value)
    if "." not in text:  # 1e-05 is a string to many readers, 1.0e-05 is a number to all
        text = text.replace("e", ".0e")
    return dumper.represent_scalar(f"{_YAML}float", text)


def _represent_text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar(f"{_YAML}str", value, style=style)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_text)


def _resolve(text: str) -> tuple[str, Any]:
    """Type and value of a scalar without quotes, by go-yaml's rules."""
    if text in _NULL:
        return "null", None
    if text in _TRUE or text in _FALSE:
        return "bool", text in _TRUE
    if text == "<<":
        return "merge", text
    if _NOT_FINITE.fullmatch(text):
        return "float", float(text.replace(".", ""))
    if text[0] not in "+-.0123456789":
        return "str", text
    plain = text.replace("_", "")
    for pattern, base in _INTEGERS:
        if found := pattern.fullmatch(plain):
            return _as_json(int("".join(found.groups()), base))
    # 1e400 overflows and is therefore text to go-yaml; 08 is no octal number and therefore 8.0.
    if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)):
        return _as_json(float(plain))
    return "str", text


def _as_json(number: float) -> tuple[str, float]:
    """A number as it arrives on the server: 1.0e5 travels as 100000, 2^64 does not fit an integer.

    The type `float` stays with a number that was written as one, for `!!float`.
    """
    if isinstance(number, int):
        return ("int", number) if number in _INT64 else ("float", float(number))
    whole = number.is_integer() and int(number) in _INT64
    return "float", int(number) if whole else number


def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _check_keys(node: yaml.MappingNode) -> None:
    """Make each key text, as JSON wants it, and refuse a key that would overwrite another."""
    seen: set[str] = set()
    for position, (key, value) in enumerate(node.value):
        if not isinstance(key, yaml.ScalarNode):
            raise _error(key, "a key must be text")
        kind = key.tag.removeprefix(_YAML)
        if kind == "int":
            text = str(_resolve(key.value)[1])
            key = yaml.ScalarNode(f"{_YAML}str", text, key.start_mark, key.end_mark)
            node.value[position] = key, value
        elif kind not in {"str", "merge", "timestamp"}:
            raise _error(key, f"YAML reads the key {key.value!r} as a {kind}; put it in quotes")
        if key.value in seen:
            raise _error(key, f"the key {key.value!r} is given twice")
        seen.add(key.value)


def _check(node: yaml.Node, above: tuple[yaml.Node, ...], done: set[int]) -> None:
    """Check the keys of every mapping, each once, however many aliases lead to it."""
    if any(node is other for other in above):
        raise _error(node, "an anchor holds itself")
    if id(node) in done or isinstance(node, yaml.ScalarNode):
        return
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [value for _, value in node.value]
    else:
        children = node.value
    for child in children:
        _check(child, (*above, node), done)
    done.add(id(node))


def _documents(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            _check(node, (), set())
            yield loader.construct_document(node)
    finally:
        loader.dispose()


def _place(source: str, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{source}, line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return f"{source}: {' '.join(str(error).split())}"


def read(text: str, source: str = "YAML") -> list[dict[str, Any]]:
    """The resources in a YAML text, in order; the items of a List stand for themselves.

    `source` names the text in errors.
    """
    try:
        documents = [document for document in _documents(text) if document is not None]
    except yaml.YAMLError as error:
        raise UnreadableError(_place(source, error)) from None
    resources: list[dict[str, Any]] = []
    for document in documents:
        if not isinstance(document, dict):
            raise UnreadableError(
                f"{source}: a document must be a mapping with apiVersion, kind, metadata and spec,"
                f" not {document!r:.60}"
            )
        items = document.get("items")
        is_list = str(document.get("kind", "")).endswith("List") and isinstance(items, list)
        resources += items if is_list and items is not None else [document]
    return resources


def read_file(path: Path) -> list[dict[str, Any]]:
    """The resources in a YAML file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path}: not a text in UTF-8: {error}") from None
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    return read(text, str(path))


def write(*documents: dict[str, Any]) -> str:
    """YAML that `read`, `kubectl` and ordinary YAML libraries all read as the same values."""
    return yaml.dump_all(
        documents,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
