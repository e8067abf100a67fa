"""Each panel of each dashboard has something to show once a real study ran under Prometheus.

One study of four trials, among them one that diverges and one that is promoted to its end: so no
panel has an excuse for being empty.
"""

import time
from pathlib import Path
from typing import Any

from scaletune.shells.kubernetes import study_metrics
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.prometheus import Prometheus, address, trials
from tests.helm.queries import Asked, asked, choices
from tests.helm.test_dashboards import DASHBOARDS

NEVER = 1000
SCRIPT = [*studies.QUADRATIC, "--sleep", "1", "--every-step", "--diverge", "$(params.diverge)"]


def _study(namespace: str) -> dict[str, Any]:
    return studies.study(
        namespace,
        "shown",
        SCRIPT,
        parallelism=4,
        objectives=[{"metric": "loss", "goal": "Minimize", "target": -1.0}],
        parameters=[
            {"name": "x", "float": {"min": 0.0, "max": 1.0}},
            {"name": "diverge", "int": {"values": [4, NEVER]}},
        ],
        initial=[{"x": x, "diverge": NEVER} for x in (0.3, 0.6, 0.9)] + [{"x": 0.5, "diverge": 4}],
        # Prometheus comes to a new pod after five seconds: long enough that it sees the first rung.
        training={"unit": "Step", "max": 24},
        policy={"asha": {"eta": 2, "min": 12, "mode": "Promote"}},
        budget={"trials": 4, "gpuHours": 1, "duration": "1h"},
        checkpoints=studies.claim(),
    )


def test_no_panel_is_empty_after_a_study(
    cluster: Connection,
    crds: list[str],
    namespace: str,
    checkpoints: Mount,
    prometheus: Prometheus,
    tmp_path: Path,
) -> None:
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    begin = time.time()
    with Operator(cluster, namespace, tmp_path) as operator:
        wait_until("the operator serves its metrics", lambda: _port(operator), 60)
        own = address(f"127.0.0.1:{_port(operator)}", "scaletune-operator")
        prometheus.configure([trials(cluster, namespace), own])
        cluster.apply(_study(namespace))
        studies.wait_for_end(cluster, namespace, "shown", seconds_max=240)
        ended = f'{study_metrics.CONDITION}{{condition="Finished",status="True"}}'
        wait_until("Prometheus knows the end", lambda: prometheus.vector(ended), 60)

        elapsed = int(time.time() - begin) + 1
        values = {"__range": f"{elapsed}s", "__rate_interval": "10s"}
        for dashboard in DASHBOARDS.values():
            chosen = values | _chosen(prometheus, dashboard, values)
            assert (chosen["namespace"], chosen["study"]) == (namespace, "shown")
            queries = list(asked(dashboard, chosen))
            found = [(query, _answer(prometheus, query, begin)) for query in queries]
            assert [query for query, series in found if not series] == []

        by_state = f"max_over_time({study_metrics.TRIALS}[{elapsed}s])"
        seen = {labels["state"]: most for labels, most in prometheus.vector(by_state)}
        # How many wait and are stopped meanwhile depends on who arrives first.
        assert seen.keys() >= {"Running", "Paused", "Stopped"}
        assert seen["Completed"] >= 1
        assert seen["Failed"] == 1


def _port(operator: Operator) -> int | None:
    """Where the operator says that it serves its metrics."""
    for line in operator.lines():
        if "/metrics" in line["message"]:
            return int(line["message"].split()[-1])
    return None


def _chosen(
    prometheus: Prometheus, dashboard: dict[str, Any], given: dict[str, str]
) -> dict[str, str]:
    """The first choice of each variable, as Grafana makes it when a dashboard is opened."""
    values = dict(given)
    for each in dashboard["templating"]["list"][1:]:
        label, series = choices(each, values)
        found = prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": series})["data"]
        assert found, f"no choice for {each['name']}"
        values[each["name"]] = found[0]
    return values


def _answer(prometheus: Prometheus, query: Asked, begin: float) -> list[Any]:
    """The series with a number in them."""
    if query.is_instant:
        found = prometheus.get("/api/v1/query", query=query.expression)["data"]["result"]
        return [each for each in found if each["value"][1] != "NaN"]
    span = {"start": f"{begin:.0f}", "end": f"{time.time():.0f}", "step": "1"}
    found = prometheus.get("/api/v1/query_range", query=query.expression, **span)["data"]["result"]
    return [each for each in found if any(value != "NaN" for _, value in each["values"])]
