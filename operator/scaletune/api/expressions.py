"""Evaluates the CEL rules of a schema without a cluster.

The API server evaluates the same texts. It does so on values as it stores them: with defaults
filled in, `1` a double where the schema says number. `stored` makes those. Rules about a change
(`oldSelf`) are asked only where there is an old value, as on the server.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cel

from scaletune.api.rules import VALIDATIONS
from scaletune.api.structural import Schema

# What the CEL library raises at a value of another type than an expression expects.
RULE_ERRORS: tuple[type[Exception], ...] = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    OverflowError,
)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a document, where it is and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def stored(schema: Schema, value: Any) -> Any:
    """The value as the API server keeps it; where its type is wrong, as it came."""
    kind = schema.get("type")
    if isinstance(value, dict) and "properties" in schema:
        return _stored_fields(schema, value)
    if isinstance(value, dict) and "additionalProperties" in schema:
        values = schema["additionalProperties"]
        return {name: stored(values, child) for name, child in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [stored(schema["items"], child) for child in value]
    if isinstance(value, bool):
        return value
    if kind == "number" and isinstance(value, int):
        return float(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _stored_fields(schema: Schema, value: dict[str, Any]) -> dict[str, Any]:
    fields = schema["properties"]
    given = {
        name: child for name, child in value.items() if child is not None or name not in fields
    }
    for name, child in fields.items():
        if "default" in child:
            given.setdefault(name, child["default"])
    return {name: stored(fields.get(name, {}), child) for name, child in given.items()}


def broken_rules(schema: Schema, value: Any, old: Any = None, path: str = "") -> Iterator[Problem]:
    """The rules that a stored value breaks, from the whole to its parts.

    A rule that cannot be evaluated says nothing: then a type is wrong, which the schema reports.
    """
    for rule in schema.get(VALIDATIONS, ()):
        if "oldSelf" in rule["rule"] and old is None:
            continue
        if evaluate(rule["rule"], {"self": value, "oldSelf": old}, default=True) is not True:
            yield Problem((path + rule.get("fieldPath", "")).removeprefix("."), rule["message"])
    for name, child in schema.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            before = old.get(name) if isinstance(old, dict) else None
            inside = f"{path}.{name}" if path else name
            yield from broken_rules(child, value[name], before, inside)
    if isinstance(value, list) and "items" in schema:
        for position, child in enumerate(value):
            yield from broken_rules(schema["items"], child, None, f"{path}[{position}]")


@cache
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)


def evaluate(expression: str, variables: dict[str, Any], default: Any) -> Any:
    """What an expression says, or the default where a value has not the type that it expects.

    No expression says the default.
    """
    if not expression:
        return default
    context = cel.Context(variables=variables)
    context.add_function("findAll", lambda text, pattern: re.findall(pattern, text))
    try:
        return _program(expression).execute(context)
    except RULE_ERRORS:
        return default
