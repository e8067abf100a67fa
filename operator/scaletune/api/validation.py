"""Everything that is wrong with a Study, at once and in words that say what to do.

`kubectl apply` refuses the same documents for the same reasons: what is checked here is the very
schema and the very rules that stand in `crds/`. The API server stops at the first kind of trouble
(unknown fields, then types, then rules); here all of it is shown in one round.

Types, bounds and enums are jsonschema's work, rules are CEL's. The schema is generated from the
types, so that a document that passes here is one that the types take.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from math import prod
from typing import Any, Final, TypeVar

from jsonschema import Draft4Validator, ValidationError, validators
from pydantic import BaseModel

from scaletune.api import admission
from scaletune.api.expressions import Problem, broken_rules, evaluate, stored
from scaletune.api.model import API_VERSION, Metadata
from scaletune.api.schema import schema_of
from scaletune.api.structural import PRESERVE, Schema, structural
from scaletune.api.study import TRIALS_MAX, Study
from scaletune.api.trial import Trial

M = TypeVar("M", bound=BaseModel)
_KINDS: Final[dict[str, type[BaseModel]]] = {"Study": Study, "Trial": Trial}


class InvalidError(ValueError):
    """A document that the API does not take, with everything that is wrong with it."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{name}: {count}", *(f"  {each}" for each in problems)]))


def problems(document: Any, old: Any = None) -> list[Problem]:
    """What is wrong with a Study or Trial; with `old`, also which changes cannot be made to it."""
    if not isinstance(document, dict):
        return [Problem("", "must be a mapping with apiVersion, kind, metadata and spec")]
    if document.get("kind") not in _KINDS:
        return [Problem("kind", _not_among(document.get("kind"), list(_KINDS)))]
    schema = _whole(_KINDS[document["kind"]])
    value = stored(schema, document)
    before = None if old is None else stored(schema, old)
    found = [_problem(error) for error in _Validator(schema).iter_errors(value)]
    found += broken_rules(schema, value, before)
    if document["kind"] == "Study":
        found += _failed(admission.CHECKS, value, before)
        found += () if found else _endless_grid(value["spec"])
    return list(dict.fromkeys(found))


def problems_on_a_cluster(document: Any) -> list[Problem]:
    """What a cluster would refuse in a Study although `scaletune run` takes it."""
    return list(_failed(admission.CLUSTER_CHECKS, stored(_whole(Study), document)))


def _endless_grid(spec: dict[str, Any]) -> Iterator[Problem]:
    """A grid beyond what a study may hold: a product, which CEL cannot form."""
    grid = spec["sampler"].get("grid")
    if grid is None or "trials" in spec["budget"]:
        return
    size = prod(_points(parameter, grid["points"]) for parameter in spec["parameters"])
    if size > TRIALS_MAX:
        message = (
            f"{size} combinations are more than the {TRIALS_MAX} trials that a study may have;"
            " use fewer points, or set budget.trials"
        )
        yield Problem("spec.sampler.grid.points", message)


def _points(parameter: dict[str, Any], points: int) -> int:
    """How many values of a parameter the grid tries, at most: some whole numbers may coincide."""
    [space] = [parameter[kind] for kind in ("float", "int", "choice") if kind in parameter]
    if "values" in space:
        return len(space["values"])
    return points if "float" in parameter else min(points, space["max"] - space["min"] + 1)


def _failed(
    checks: tuple[admission.Check, ...], study: Any, before: Any = None
) -> Iterator[Problem]:
    """The checks that a Study fails; one that cannot be evaluated meets a wrong type."""
    variables: dict[str, Any] = {}
    context = {"object": study, "oldObject": before, "variables": variables}
    for name, expression in admission.VARIABLES.items():
        variables[name] = evaluate(expression, context, default=[])
    for check in checks:
        if not evaluate(check.rule, context, default=True):
            message = evaluate(check.expression, context, default=check.message)
            yield Problem(check.path, message)


def parse_study(document: Any) -> Study:
    """The Study in a document; `InvalidError` with all its problems if it is none."""
    return _parse(Study, document)


def parse_trial(document: Any) -> Trial:
    """The Trial in a document; `InvalidError` with all its problems if it is none."""
    return _parse(Trial, document)


def _parse(model: type[M], document: Any) -> M:
    found = problems(document)
    kind = document.get("kind") if isinstance(document, dict) else None
    if not found and kind != model.__name__:
        found = [Problem("kind", _not_among(kind, [model.__name__]))]
    if found:
        raise InvalidError(_name(document), found)
    return model.model_validate(_without_nulls(_whole(model), document))


def _name(document: Any) -> str:
    """What to call a document, whatever it is."""
    match document:
        case {"kind": kind, "metadata": {"name": name}}:
            return f"{kind} {name}"
        case {"kind": kind}:
            return f"{kind} without a name"
        case _:
            return "document without a kind"


def _without_nulls(schema: Schema, value: Any) -> Any:
    """Null is absent for every field that the schema knows, as on the server."""
    if isinstance(value, dict) and "properties" in schema:
        fields = schema["properties"]
        return {
            name: _without_nulls(fields.get(name, {}), child)
            for name, child in value.items()
            if child is not None
        }
    if isinstance(value, list) and "items" in schema:
        return [_without_nulls(schema["items"], child) for child in value]
    return value


@cache
def _whole(model: type[BaseModel]) -> Schema:
    """The CRD's schema, and what the API server itself demands of every resource."""
    schema = schema_of(model)
    fields = {
        **schema["properties"],
        "apiVersion": {"type": "string", "enum": [API_VERSION]},
        "metadata": structural(Metadata),
    }
    required = ["apiVersion", "kind", "metadata", *schema["required"]]
    return {**schema, "properties": fields, "required": required}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _not_among(value: Any, allowed: list[Any]) -> str:
    if value is None:
        return f"Required value: one of {', '.join(map(_shown, allowed))}"
    supported = f"supported values: {', '.join(map(_shown, allowed))}"
    return f"Unsupported value: {_shown(value)}: {supported}"


def _required(validator: Any, names: list[str], value: Any, schema: Schema) -> Iterator[Any]:
    for name in names if isinstance(value, dict) else ():
        if name not in value:
            description = schema["properties"][name].get("description", "")
            message = f"Required value: {description}" if description else "Required value"
            yield ValidationError(message, path=[name])


def _fields(validator: Any, fields: Schema, value: Any, schema: Schema) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for name, child in value.items():
        if name in fields:
            yield from validator.descend(child, fields[name], path=name, schema_path=name)
        elif PRESERVE not in schema:
            near = get_close_matches(name, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(fields)}"
            yield ValidationError(f"unknown field; {hint}", path=[name])


def _unique(validator: Any, kind: str, value: Any, schema: Schema) -> Iterator[Any]:
    if not isinstance(value, list) or kind == "atomic":
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: list[Any] = []
    for position, each in enumerate(value):
        identity = each
        if keys and isinstance(each, dict):
            identity = {key: each[key] for key in keys if key in each}
        if identity in seen:
            yield ValidationError(f"Duplicate value: {_shown(identity)}", path=[position])
        seen.append(identity)


def _is_integer(checker: Any, value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Final = validators.extend(  # type: ignore[no-untyped-call]
    Draft4Validator,
    {"required": _required, "properties": _fields, "x-kubernetes-list-type": _unique},
    type_checker=Draft4Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _problem(error: ValidationError) -> Problem:
    path = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
    )
    return Problem(path.removeprefix("."), _message(error))


def _message(error: ValidationError) -> str:
    """What is wrong, in the API server's words, which people search for."""
    limit: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "type":
            is_word = limit == "string" and isinstance(value, bool)
            quote = "; YAML reads words such as on, no and N so: quote it" if is_word else ""
            return f"must be of type {limit}, not {_shown(value)}{quote}"
        case "enum":
            return _not_among(error.instance, limit)
        case "minimum":
            over = "" if schema.get("exclusiveMinimum") else " or equal to"
            return f"should be greater than{over} {limit}, not {_shown(value)}"
        case "maximum":
            under = "" if schema.get("exclusiveMaximum") else " or equal to"
            return f"should be less than{under} {limit}, not {_shown(value)}"
        case "pattern":
            return f"should match '{limit}', which {_shown(value)} does not"
        case "minLength":
            return f"should be at least {limit} chars long"
        case "maxLength":
            return f"Too long: may not be more than {limit} bytes"
        case "minItems":
            return f"should have at least {limit} items"
        case "maxItems" | "maxProperties":
            items = "item" if limit == 1 else "items"
            return f"Too many: {len(value)}: must have at most {limit} {items}"
        case _:
            return error.message
