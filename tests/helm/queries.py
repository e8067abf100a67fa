"""The queries of a dashboard with its variables filled in, as Grafana sends them to Prometheus."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<series>.+),\s*)?(?P<label>\w+)\)")


@dataclass(frozen=True)
class Asked:
    """One query of one panel; an instant one asks for a single moment."""

    panel: str
    expression: str
    is_instant: bool


def panels(dashboard: Json) -> list[Json]:
    """All panels, without the rows that hold them together."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asked(dashboard: Json, values: Mapping[str, str]) -> Iterator[Asked]:
    """Every query. Raises KeyError for a variable without a value."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Asked(panel["title"], filled(target["expr"], values), target["instant"])


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each $variable replaced."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def choices(variable: Json, values: Mapping[str, str]) -> tuple[str, str]:
    """Which label a variable of type query lists, and of which series, by the ones before it."""
    found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    assert found, variable["query"]
    return found["label"], filled(found["series"] or "", values)
