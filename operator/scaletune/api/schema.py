"""The CustomResourceDefinitions of Study and Trial: `python -m scaletune.api.schema FOLDER...`.

The types in this package are the only source. A test fails when the files in `crds/`, or their
copy in `helm/scaletune/crd/`, are not what this module makes of them. `make crds` writes
both.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from scaletune.api import admission, reader
from scaletune.api.model import GROUP, VERSION
from scaletune.api.rules import VALIDATIONS
from scaletune.api.structural import Schema, structural, with_defaults_told, without_defaults
from scaletune.api.study import Study
from scaletune.api.trial import Trial

Column = dict[str, Any]


def _column(name: str, path: str, kind: str = "string", **more: Any) -> Column:
    return {"name": name, "type": kind, "jsonPath": path, **more}


_AGE: Final = _column("Age", ".metadata.creationTimestamp", "date")
_STUDY_COLUMNS: Final = [
    _column("Policy", ".status.policy"),
    _column("State", '.status.conditions[?(@.type=="Finished")].reason'),
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _column("Trials", ".status.progress"),
    _column("Running", ".status.running", "integer"),
    _column("Paused", ".status.trials.paused", "integer"),
    _column("Best", ".status.found"),
    _column("GPU-Hours", ".status.gpuHours"),
    _column("Finished", '.status.conditions[?(@.type=="Finished")].status', priority=1),
    _column("Message", '.status.conditions[?(@.type=="Finished")].message', priority=1),
    _AGE,
]
_TRIAL_COLUMNS: Final = [
    _column("State", ".status.state"),
    _column("Until", ".spec.until", "integer"),
    _column("Rung", ".status.milestones[-1:].at", "integer"),
    _column("Value", ".status.milestones[-1:].value", "number"),
    _column("Attempt", ".status.attempts[-1:].number", "integer"),
    _column("Reason", ".status.reason", priority=1),
    _AGE,
]
_SCALE: Final = {
    "specReplicasPath": ".spec.parallelism",
    "statusReplicasPath": ".status.running",
    "labelSelectorPath": ".status.selector",
}


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The whole of a resource as the API server knows it. Shared: not to be changed."""
    schema = structural(model)
    fields = schema["properties"]
    fields["status"] = without_defaults(fields["status"])
    fields["spec"].pop("default", None)
    fields["spec"] = with_defaults_told(fields["spec"])
    name = {"type": "string", "maxLength": 253, "description": "name of the resource."}
    return {
        "type": "object",
        "description": schema["description"],
        "required": [name for name in schema["required"] if name != "metadata"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": fields["spec"],
            "status": fields["status"],
        },
        **{key: schema[key] for key in (VALIDATIONS,) if key in schema},
    }


def _definition(
    model: type[BaseModel], plural: str, short: str, columns: list[Column], **subresources: Any
) -> dict[str, Any]:
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["scaletune"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema_of(model)},
                    "subresources": {"status": {}, **subresources},
                }
            ],
        },
    }


def files() -> dict[str, str]:
    """Name and text of every file."""
    studies = _definition(Study, "studies", "sty", _STUDY_COLUMNS, scale=_SCALE)
    trials = _definition(Trial, "trials", "trl", _TRIAL_COLUMNS)
    return {
        "studies.yaml": reader.write(studies),
        "studies-admission.yaml": reader.write(admission.policy(), admission.binding()),
        "trials.yaml": reader.write(trials),
    }


def main(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(Path(each))
