"""CEL rules on API types: written once, evaluated by the API server and by `scaletune validate`.

Only the common subset of CEL is used (no Kubernetes extensions such as `quantity`), so that the
very same text can be run without a cluster. Every rule has a message that says what to do, and a
`fieldPath` where the field to change is not the one that has the rule.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=type[BaseModel])
Rule = dict[str, str]
VALIDATIONS = "x-kubernetes-validations"


def rule(cel: str, message: str, **more: str) -> Rule:
    """One validation rule; `more` may hold fieldPath, reason or messageExpression."""
    return {"rule": cel, "message": message, **more}


def rules(*pairs: tuple[str, str] | Rule, **schema: Any) -> Callable[[M], M]:
    """Attach rules to a type; they end up in the CRD under the type's schema, `schema` beside."""

    def attach(model: M) -> M:
        validations = [pair if isinstance(pair, dict) else rule(*pair) for pair in pairs]
        config: dict[str, Any] = model.model_config  # type: ignore[assignment]
        config["json_schema_extra"] = {**schema, **({VALIDATIONS: validations} if pairs else {})}
        return model

    return attach


def immutable(message: str) -> dict[str, Any]:
    """Field schema: the value given at creation stays."""
    return {VALIDATIONS: [rule("self == oldSelf", message)]}


def matching(pattern: str, message: str, *also: Rule) -> dict[str, Any]:
    """Field schema: a text of this form. Unlike a bare pattern it tells people what is meant."""
    return {VALIDATIONS: [rule(f"self.matches('{pattern}')", message), *also]}


def map_by(key: str) -> dict[str, Any]:
    """Field schema: a list whose entries are told apart by a key, so duplicates are refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def distinct() -> dict[str, Any]:
    """Field schema: a list without duplicates."""
    return {"x-kubernetes-list-type": "set"}
