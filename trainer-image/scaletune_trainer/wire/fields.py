"""Reading and writing the protocol's JSON, field by field, with errors that name the field.

Strict where a mistake would be silent (a bool is no integer, a bare NaN is no JSON), lenient where
a newer side may say more (unknown keys). Numbers that JSON does not have travel as strings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Json = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
Value = bool | int | float | str
"""A parameter's value as the script sees it."""

_NOT_IN_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class WireError(ValueError):
    """What came over the wire cannot be read: it names the document, the field and the fault."""


class VersionError(WireError):
    """The other side speaks another version: nothing else that it says can be relied on."""


def number_to_json(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def number_from_json(value: object, where: str) -> float:
    if isinstance(value, str) and value in _NOT_IN_JSON:
        return _NOT_IN_JSON[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{where} must be a number, but is {value!r}")
    return float(value)


def dumps(document: Mapping[str, Json]) -> str:
    """One line of strict JSON; lone surrogates, which UTF-8 cannot carry, become "?"."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON; write it as a string")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object being read, and what to call it in an error."""

    document: Mapping[str, object]
    where: str

    @classmethod
    def parse(cls, text: str, where: str) -> Fields:
        try:
            document = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{where} is not JSON ({error}): {text[:80]!r}") from None
        return cls.of(document, where)

    @classmethod
    def of(cls, document: object, where: str) -> Fields:
        if not isinstance(document, dict):
            raise WireError(f"{where} must be a JSON object, but is {document!r:.80}")
        return cls(document, where)

    def require_version(self, version: int) -> None:
        found = self.get("wire")
        if isinstance(found, bool) or found != version:
            raise VersionError(
                f"{self.where} speaks version {found!r} of the trial protocol, this side version "
                f"{version}: use releases of operator and trainer image that go together"
            )

    def get(self, name: str) -> object:
        if name not in self.document:
            raise WireError(f"{self.where} lacks {name!r}")
        return self.document[name]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.document.get(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self._wrong(name, "a text that is not empty", value)
        return value

    def folder(self, name: str) -> str:
        """A text that becomes one part of a path, so that no file is ever written elsewhere."""
        value = self.text(name)
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", value) is None:
            raise self._wrong(name, "letters, digits, '-', '_' and '.'", value)
        return value

    def integer(self, name: str, *, minimum: int = 0, default: int | None = None) -> int:
        value = self.document.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self._wrong(name, f"an integer of at least {minimum}", value)
        return value

    def optional_integer(self, name: str) -> int | None:
        return None if self.document.get(name) is None else self.integer(name)

    def number(self, name: str) -> float:
        return number_from_json(self.get(name), f"{self.where}: {name!r}")

    def optional_number(self, name: str) -> float | None:
        return None if self.document.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        value = self.document.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def choice(self, name: str, words: Sequence[str], default: str | None = None) -> str:
        value = self.document.get(name, default)
        if not isinstance(value, str) or value not in words:
            raise self._wrong(name, "one of " + ", ".join(words), value)
        return value

    def objects(self, name: str) -> list[Fields]:
        return [Fields.of(item, f"{self.where}: {name!r}") for item in self._list(name)]

    def optional_object(self, name: str) -> Fields | None:
        value = self.document.get(name)
        return None if value is None else Fields.of(value, f"{self.where}: {name!r}")

    def integers(self, name: str) -> tuple[int, ...]:
        values = self._list(name)
        if any(isinstance(v, bool) or not isinstance(v, int) for v in values):
            raise self._wrong(name, "a list of integers", values)
        return tuple(v for v in values if isinstance(v, int))

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._list(name)
        if not all(isinstance(v, str) for v in values):
            raise self._wrong(name, "a list of texts", values)
        return tuple(v for v in values if isinstance(v, str))

    def numbers(self, name: str) -> dict[str, float]:
        where = f"{self.where}: {name!r}"
        items = Fields.of(self.get(name), where).document.items()
        return {key: number_from_json(value, f"{where}: {key!r}") for key, value in items}

    def values(self, name: str) -> dict[str, Value]:
        """Parameters: plain values, kept with the type they were written in."""
        found: dict[str, Value] = {}
        for key, value in Fields.of(self.get(name), f"{self.where}: {name!r}").document.items():
            if not isinstance(value, bool | int | float | str):
                raise self._wrong(f"{name}.{key}", "a number, a text or a truth value", value)
            found[key] = value
        return found

    def _list(self, name: str) -> list[object]:
        value = self.document.get(name, [])
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return value

    def _wrong(self, name: str, wanted: str, value: object) -> WireError:
        return WireError(f"{self.where}: {name!r} must be {wanted}, but is {value!r:.80}")
