"""Reports reach the operator through a real Prometheus, which discovers the pods by itself."""

from pathlib import Path

import pytest

from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.prometheus import Prometheus

UNHURRIED = [*studies.QUADRATIC, "--sleep", "1"]
LONG = {"unit": "Step", "max": 200}


@pytest.fixture
def claims(cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount) -> None:
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")


def test_prometheus_finds_a_running_trial_and_knows_it_after_being_killed(
    cluster: Connection, namespace: str, claims: None, prometheus: Prometheus, tmp_path: Path
) -> None:
    with Operator(cluster, namespace, tmp_path):
        made = studies.study(namespace, "seen", UNHURRIED, training=LONG, budget={"trials": 1})
        cluster.apply(made)
        step = "scaletune_trial_step > 1"
        wait_until("a step is seen", lambda: prometheus.vector(step), 120)

        [(labels, _)] = prometheus.vector(step)
        [pod] = cluster.get("pods", "-n", namespace)["items"]
        assert (labels["namespace"], labels["pod"]) == (namespace, pod["metadata"]["name"])
        assert (labels["study"], labels["trial"]) == ("seen", "seen-0000")
        assert labels["incarnation"] == pod["metadata"]["uid"]

        prometheus.kill()
        prometheus.start()
        assert prometheus.vector("last_over_time(scaletune_trial_step[5m])")
