"""Slim: models that are kept by the thousand share what is equal in them. Nothing else changes.

A model as pydantic makes it has a set of the fields that were given, and a dictionary of its own:
most of what it weighs, and nearly always the same; so are its labels and owners. Sharing is safe
because models are frozen, and copies of them get a set of their own.
"""

import json
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_FIELD_SETS: dict[frozenset[str], set[str]] = {}


def slim(model: M) -> M:
    """The same model, and all within it, in as little memory as can be."""
    new = type(model).__new__(type(model))
    # One by one, and in the order of the class: so all of its models share one table of names.
    for name in type(model).model_fields:
        object.__setattr__(new, name, _slim(model.__dict__[name]))
    given = model.model_fields_set
    object.__setattr__(
        new, "__pydantic_fields_set__", _FIELD_SETS.setdefault(frozenset(given), given)
    )
    object.__setattr__(new, "__pydantic_extra__", _slim(model.model_extra))
    object.__setattr__(new, "__pydantic_private__", model.__pydantic_private__)
    return new


def _slim(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return slim(value)
    if isinstance(value, tuple):
        return tuple(map(_slim, value))
    return _shared(json.dumps(value)) if isinstance(value, dict | list) else value


@lru_cache(maxsize=1000)
def _shared(text: str) -> Any:
    return json.loads(text)
