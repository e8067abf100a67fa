"""Panels: the few kinds that our dashboards use, as Grafana's JSON. No plugin is needed for any.

A dashboard is rows of panels; `dashboard` lays them out, so that nobody counts grid units by hand.
Every panel has a unit and a description: a test sees to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

SCHEMA_VERSION: Final = 39  # Grafana 10.4 and newer
COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """One query; `legend` names its series. `instant` asks for one moment, as a table."""

    expression: str
    legend: str = ""
    instant: bool = False

    def target(self, ref: str) -> Json:
        return {
            "datasource": DATASOURCE,
            "refId": ref,
            "expr": self.expression,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.instant else "time_series",
        }


@dataclass(frozen=True)
class Panel:
    """One panel: what it shows, why one looks at it, and how wide and high it is."""

    title: str
    description: str
    kind: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 12
    height: int = 8
    defaults: Json = field(default_factory=dict)  # of the fields, beside the unit
    overrides: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    transformations: Sequence[Json] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [
                query.target(chr(ord("A") + index)) for index, query in enumerate(self.queries)
            ],
            "fieldConfig": {
                "defaults": {"unit": self.unit, **self.defaults},
                "overrides": list(self.overrides),
            },
            "options": self.options,
            "transformations": list(self.transformations),
        }


def stat(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """The latest number, large."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "none",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "center",
    }
    options |= more.pop("options", {})
    size = {"width": 4, "height": 4} | more
    return Panel(title, description, "stat", queries, options=options, **size)


def lines(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """Lines over time."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "auto"}
    defaults = {"custom": custom | more.pop("custom", {})} | more.pop("defaults", {})
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return Panel(
        title, description, "timeseries", queries, defaults=defaults, options=options, **more
    )


def stacked(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """Areas over time, one upon the other."""
    custom = {
        "fillOpacity": 60,
        "stacking": {"mode": "normal", "group": "A"},
        "showPoints": "never",
    }
    return lines(title, description, *queries, custom=custom, **more)


def bars(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """One horizontal bar for each series, as long as its latest value."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
    }
    return Panel(title, description, "bargauge", queries, options=options, **more)


def table(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """Rows of instant queries."""
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": []}}
    return Panel(title, description, "table", queries, options=options, **more)


def points(title: str, description: str, query: Query, **more: Any) -> Panel:
    """One number against another, a line for each frame that the transformations leave."""
    custom = {"show": "points+lines", "pointSize": {"fixed": 5}, "lineWidth": 1}
    options = {
        "mapping": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(
        title, description, "xychart", [query], defaults={"custom": custom}, options=options, **more
    )


def variable(name: str, label: str, query: str, *, several: bool = False, hide: int = 0) -> Json:
    """A choice among the values that a label has in Prometheus."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,  # whenever the time range changes, since studies come and go
        "sort": 1,
        "hide": hide,
        "multi": several,
        "includeAll": False,
        "current": {},
        "options": [],
    }


DATASOURCES: Final[Json] = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "current": {},
    "options": [],
}


def dashboard(uid: str, title: str, description: str, **content: Any) -> Json:
    """The whole: `variables`, and `rows` as pairs of a title and its panels."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["scaletune"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [DATASOURCES, *content["variables"]]},
        "panels": _laid_out(content["rows"]),
    }


def _laid_out(rows: Sequence[tuple[str, Sequence[Panel]]]) -> list[Json]:
    """Rows one below the other, and in each the panels from left to right as they fit."""
    made: list[Json] = []
    y = 0
    for title, panels in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        made.append(
            {
                "id": len(made) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            made.append(panel.json(len(made) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return made
