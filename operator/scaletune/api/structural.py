"""A pydantic type as a structural schema: the dialect of OpenAPI in which the API server thinks.

Kubernetes takes a part of OpenAPI 3.0 only: no references, no unions, exclusive bounds as booleans.
Descriptions, bounds, list types and CEL rules come along from the types, so that nothing about a
field is said twice. What cannot be expressed is an error here, not a silent hole in the schema.

`CustomResourceDefinition`s are made of these schemas in `schema`, and `validation` checks a
document by them without a cluster.
"""

from typing import Any, Final

from pydantic import BaseModel

from scaletune.api.rules import VALIDATIONS

Schema = dict[str, Any]

# pydantic names a bound after its constraint where a validator of ours stands before the type.
_BOUNDS: Final[dict[str, Schema]] = {
    "ge": {"minimum": None},
    "le": {"maximum": None},
    "gt": {"minimum": None, "exclusiveMinimum": True},
    "lt": {"maximum": None, "exclusiveMaximum": True},
    "exclusiveMinimum": {"minimum": None, "exclusiveMinimum": True},
    "exclusiveMaximum": {"maximum": None, "exclusiveMaximum": True},
}
_KEPT: Final = frozenset(
    {"type", "description", "default", "enum", "format", "pattern", "minimum", "maximum"}
    | {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
    | {"required"}
)
_FORMATS: Final = {"integer": "int64", "number": "double"}
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a type, with everything it refers to in place."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}), ())


def without_defaults(schema: Schema) -> Schema:
    """The same schema, filling nothing in: a status holds what was observed and no more."""
    plain = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in plain:
        plain["properties"] = {
            name: without_defaults(child) for name, child in plain["properties"].items()
        }
    if "items" in plain:
        plain["items"] = without_defaults(plain["items"])
    return plain


def with_defaults_told(schema: Schema) -> Schema:
    """The same schema, naming defaults in descriptions, where `kubectl explain` shows them."""
    told = dict(schema)
    default = told.get("default")
    if isinstance(default, int | float | str) and default != "":
        told["description"] = f"{told['description']} Defaults to {default}."
    if "properties" in told:
        fields = told["properties"].items()
        told["properties"] = {name: with_defaults_told(child) for name, child in fields}
    if "items" in told:
        told["items"] = with_defaults_told(told["items"])
    return told


def _convert(schema: Schema, definitions: dict[str, Schema], above: tuple[str, ...]) -> Schema:
    schema = _inlined(schema, definitions, above)
    if reference := schema.pop("__name__", None):
        above = (*above, reference)
    structural = {key: value for key, value in schema.items() if _is_kept(key)}
    if "const" in schema:
        structural["enum"] = [schema["const"]]
    if structural.get("default") is None:
        structural.pop("default", None)
    else:
        structural["default"] = _without_nulls(structural["default"])
    for name, bounds in _BOUNDS.items():
        if name in schema:
            structural |= {
                key: schema[name] if value is None else value for key, value in bounds.items()
            }
    if "description" in structural:
        structural["description"] = " ".join(structural["description"].split())
    if structural.get("type") in _FORMATS:
        structural.setdefault("format", _FORMATS[structural["type"]])
    if "properties" in schema:
        structural["properties"] = {
            name: _convert(child, definitions, above)
            for name, child in schema["properties"].items()
        }
        if schema.get("additionalProperties") is True:
            structural[PRESERVE] = True
    elif structural.get("type") == "object":
        structural |= _map(schema.get("additionalProperties", True), definitions, above)
    if structural.get("type") == "array":
        structural["items"] = _convert(schema["items"], definitions, above)
        structural.setdefault("x-kubernetes-list-type", "atomic")
    return structural


def _without_nulls(value: Any) -> Any:
    """What is absent in Kubernetes is never written as null, in a default neither."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return value


def _is_kept(key: str) -> bool:
    return key in _KEPT or key.startswith("x-kubernetes-")


def _map(values: bool | Schema, definitions: dict[str, Schema], above: tuple[str, ...]) -> Schema:
    if isinstance(values, dict):
        return {"additionalProperties": _convert(values, definitions, above)}
    return {PRESERVE: True}


def _inlined(schema: Schema, definitions: dict[str, Schema], above: tuple[str, ...]) -> Schema:
    """The schema with its reference or its optional type replaced by what stands there.

    What a field says for itself (description, default) wins over its type; rules add up.
    """
    schema = dict(schema)
    options = [each for each in schema.pop("anyOf", []) if each.get("type") != "null"]
    if len(options) > 1:
        raise TypeError(f"{options} is a union; a structural schema has none")
    for target in options:
        schema = _over(target, schema)
    if "$ref" in schema:
        name = schema.pop("$ref").removeprefix("#/$defs/")
        if name in above:
            raise TypeError(f"{name} holds itself; a structural schema cannot")
        schema = {**_over(definitions[name], schema), "__name__": name}
    return schema


def _over(target: Schema, schema: Schema) -> Schema:
    rules = [*target.get(VALIDATIONS, []), *schema.get(VALIDATIONS, [])]
    return {**target, **schema, **({VALIDATIONS: rules} if rules else {})}
