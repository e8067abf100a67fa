"""The chart's dashboards: generated, of built-in panels only, and of metrics that exist."""

import itertools
import json
from typing import Any

import promql_parser
import pytest

from helm.dashboards.__main__ import files
from scaletune.shells.kubernetes import study_metrics
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune_trainer import wire
from tests.helm.chart import CHART, of_kind, rendered
from tests.helm.queries import Asked, asked, choices, panels

Json = dict[str, Any]

FOLDER = CHART / "dashboards"
DASHBOARDS: dict[str, Json] = {name: json.loads(text) for name, text in files().items()}
EACH = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
BUILT_IN = {"bargauge", "stat", "table", "timeseries", "xychart"}
GIVEN_BY_GRAFANA = {"__range": "6h", "__rate_interval": "1m"}


def _queries(dashboard: Json) -> list[Asked]:
    names = [each["name"] for each in dashboard["templating"]["list"]]
    return list(asked(dashboard, dict.fromkeys(names, "x") | GIVEN_BY_GRAFANA))


def _exported() -> set[str]:
    """The names of all series that the operator and the trainers can have."""
    own = {
        f"{family.name}{ending}"
        for family in Metrics().registry.collect()
        for ending in ("", "_total", "_bucket", "_count", "_sum", "_info")
    }
    return own | set(map(str, wire.Metric)) | set(map(str, study_metrics.ALL))


def _names(node: Any) -> set[str]:
    """The names of the series that a parsed expression asks for."""
    if isinstance(node, promql_parser.VectorSelector):
        return {node.name or ""}
    if isinstance(node, promql_parser.MatrixSelector):
        return _names(node.vector_selector)
    if isinstance(node, promql_parser.BinaryExpr):
        return _names(node.lhs) | _names(node.rhs)
    if isinstance(node, promql_parser.Call):
        return set().union(*map(_names, node.args))
    inner = getattr(node, "expr", None)
    return set() if inner is None else _names(inner)


def test_the_files_are_what_the_generator_makes() -> None:
    """If not: `make dashboards`."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == files()


def test_the_chart_brings_them_where_the_sidecar_of_grafana_looks() -> None:
    values = {"dashboards": {"enabled": True, "namespace": "monitoring"}}
    made = [
        each
        for each in of_kind(rendered(values), "ConfigMap")
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]

    assert {each["metadata"]["namespace"] for each in made} == {"monitoring"}
    found = {name: json.loads(text) for each in made for name, text in each["data"].items()}
    assert found == DASHBOARDS


@EACH
def test_a_panel_has_a_title_a_unit_and_a_description_and_needs_no_plugin(dashboard: Json) -> None:
    shown = panels(dashboard)

    assert {panel["type"] for panel in shown} <= BUILT_IN
    assert all(panel["targets"] for panel in shown)
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert [panel["title"] for panel in shown if not panel["description"].endswith(".")] == []
    assert [panel["title"] for panel in shown if not panel["fieldConfig"]["defaults"]["unit"]] == []


@EACH
def test_no_two_panels_cover_each_other(dashboard: Json) -> None:
    def cells(panel: Json) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        return set(itertools.product(columns, range(at["y"], at["y"] + at["h"])))

    covered = [cell for panel in dashboard["panels"] for cell in cells(panel)]

    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


@EACH
def test_a_dashboard_fits_any_prometheus_and_can_be_updated_in_its_place(dashboard: Json) -> None:
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["uid"].startswith("scaletune-")
    assert "id" not in dashboard  # Grafana gives it
    source, *variables = dashboard["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    for each in (*panels(dashboard), *variables):
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert {"namespace", "study"} <= {each["name"] for each in variables}


@EACH
def test_a_query_is_promql_of_metrics_that_exist(dashboard: Json) -> None:
    of_the_process = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    known = _exported() | of_the_process
    for query in _queries(dashboard):
        names = _names(promql_parser.parse(query.expression))
        assert names, query
        assert names <= known, query


@EACH
def test_a_variable_is_chosen_by_those_before_it(dashboard: Json) -> None:
    values = dict(GIVEN_BY_GRAFANA)
    for each in dashboard["templating"]["list"][1:]:
        label, series = choices(each, values)
        assert label == each["name"]
        promql_parser.parse(series)
        values[label] = "x"
