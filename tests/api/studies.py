"""Right and wrong Studies, read from the YAML files beside this one.

Each is the first right Study with a change, so that a case shows nothing but its point.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scaletune.api import reader

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[1]


@dataclass(frozen=True)
class Case:
    """A Study and what is to be said about it: nothing, when it is right."""

    name: str
    document: dict[str, Any]
    path: str = ""
    message: str = ""

    def __str__(self) -> str:
        return self.name


def merged(document: Any, change: Any) -> Any:
    """The document with a change in the sense of RFC 7386: null removes."""
    if not isinstance(change, dict):
        return change
    before = document if isinstance(document, dict) else {}
    after = {**before, **{key: merged(before.get(key), each) for key, each in change.items()}}
    return {key: each for key, each in after.items() if each is not None}


def right() -> list[Case]:
    """Studies that are taken; those with a message only a cluster refuses."""
    return [_case(entry, **entry.get("hint", {})) for entry in _entries("right.yaml")]


def wrong() -> list[Case]:
    """Studies that are refused, each with the field to be named and what is said of it."""
    entries = _entries("wrong.yaml")
    return [_case(entry, path=entry["path"], message=entry["message"]) for entry in entries]


def documented() -> list[Case]:
    """Every Study in the documentation and the examples."""
    found = []
    for path in sorted(_ROOT.glob("*.md")) + sorted(_ROOT.glob("docs/**/*.md")):
        blocks = re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)
        found += [(path, block) for block in blocks]
    for folder in ("docs", "trainer-image/examples"):
        for path in sorted((_ROOT / folder).glob("**/*.yaml")):
            found.append((path, path.read_text(encoding="utf-8")))
    return [
        Case(f"{path.relative_to(_ROOT)} {document['metadata']['name']}", document)
        for path, text in found
        for document in reader.read(text, str(path))
        if document.get("kind") == "Study"
    ]


def example(**spec: Any) -> dict[str, Any]:
    """A right Study with a change to its spec."""
    return _case({"name": "example", "spec": spec}).document


def _case(entry: dict[str, Any], path: str = "", message: str = "") -> Case:
    document = {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "example", **entry.get("metadata", {})},
        "spec": merged(_entries("right.yaml")[0]["spec"], entry["spec"]),
    }
    return Case(entry["name"], document, path, message)


@cache
def _entries(file: str) -> list[dict[str, Any]]:
    [document] = reader.read((_FOLDER / file).read_text(encoding="utf-8"), file)
    cases: list[dict[str, Any]] = document["studies"]
    return cases
