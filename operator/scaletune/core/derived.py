"""Derived: another Study that follows from one, as its YAML would be."""

from typing import Any, Final

from scaletune.api.study import Study

NAME_MAX: Final = 40  # of a Study


def spec_of(study: Study) -> dict[str, Any]:
    """A copy of its spec, to be changed."""
    spec: dict[str, Any] = study.to_yaml_fields()["spec"]
    return spec


def derived(study: Study, suffix: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Study with this spec, under the name of that one and a suffix."""
    return {
        "apiVersion": study.api_version,
        "kind": study.kind,
        "metadata": {"name": study.metadata.name[: NAME_MAX - len(suffix)].rstrip("-") + suffix},
        "spec": spec,
    }
