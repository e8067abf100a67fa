"""CEL rules on API types: written once, evaluated by the API server and by `scaletune validate`.

Only the common subset of CEL is used (no Kubernetes extensions such as `quantity`), so that the
very same text can be run without a cluster.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=type[BaseModel])
VALIDATIONS = "x-kubernetes-validations"


def rule(cel: str, message: str, **more: str) -> dict[str, str]:
    """One validation rule; `more` may hold fieldPath, reason or messageExpression."""
    return {"rule": cel, "message": message, **more}


def rules(*pairs: tuple[str, str] | dict[str, str]) -> Callable[[M], M]:
    """Attach rules to a type; they end up in the CRD under the type's schema."""

    def attach(model: M) -> M:
        validations = [pair if isinstance(pair, dict) else rule(*pair) for pair in pairs]
        config: dict[str, Any] = model.model_config  # type: ignore[assignment]
        config["json_schema_extra"] = {VALIDATIONS: validations}
        model.model_rebuild(force=True)
        return model

    return attach


def immutable(message: str) -> dict[str, Any]:
    """Field schema: the value given at creation stays."""
    return {VALIDATIONS: [rule("self == oldSelf", message)]}


def map_by(key: str) -> dict[str, Any]:
    """Field schema: a list whose entries are told apart by a key, so duplicates are refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
