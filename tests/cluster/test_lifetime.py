"""A test cluster comes alone, keeps to itself, and leaves nothing behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import cgroups, mounts, network, slots
from tests.cluster.cluster import Cluster
from tests.cluster.standing import Standing

pytestmark = pytest.mark.usefixtures("own_clusters")

# Starts a control plane, says where, and waits to be ended from outside.
CHILD = """
    import time
    from tests.cluster import signals
    from tests.cluster.cluster import Cluster
    signals.end_as_if_interrupted()
    with Cluster(lambda line: None) as cluster:
        cluster.start()
        print(cluster.site.number, flush=True)
        time.sleep(600)
"""


def _traces(number: int) -> dict[str, list[str]]:
    """Everything of a cluster that can be seen on the machine."""
    name = f"scaletune-{number}"
    links = json.loads(network.run("ip", "-json", "link", "show"))
    routes = network.run("ip", "route", "show").splitlines()
    lines = Path("/proc/self/mounts").read_text().splitlines()
    folder = slots.folder_of(number)
    whole = str(network.Addresses(number).whole.network_address).removesuffix("0.0")
    seen = {
        "processes": [str(pid) for pid in cgroups.processes(name)],
        "groups": [str(r / name) for r in cgroups.hierarchies().values() if (r / name).exists()],
        "namespaces": [path.name for path in network.NAMESPACES.glob(f"{name}-*")],
        "links": [link["ifname"] for link in links if link["ifname"] == name],
        "routes": [route for route in routes if route.startswith(whole)],
        "mounts": [line for line in lines if f"{folder}/" in line],
        "folders": [str(folder)] if folder.exists() else [],
    }
    return {what: found for what, found in seen.items() if found}


@contextmanager
def _child() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another test process with a cluster of its own, and the cluster's number."""
    command = [sys.executable, "-c", textwrap.dedent(CHILD)]
    with subprocess.Popen(
        command, cwd=mounts.REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield child, int(child.stdout.readline())
        finally:
            child.kill()


def test_two_clusters_stand_side_by_side(standing: Standing) -> None:
    with _child() as (_, number):
        first = standing.control_plane()
        first.kubectl("create", "namespace", "only-in-the-first")
        second = slots.folder_of(number) / "pki" / "admin.kubeconfig"
        environment = {**os.environ, "KUBECONFIG": str(second), "KUBECACHEDIR": os.devnull}
        listed = subprocess.run(
            [first.program, "get", "namespaces", "-o", "name"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    assert "namespace/default" in listed.stdout.split()
    assert "namespace/only-in-the-first" not in listed.stdout.split()
    first.kubectl("delete", "namespace", "only-in-the-first", "--wait=false")


def test_nothing_is_left_of_a_cluster_with_pods() -> None:
    with Cluster(lambda line: None) as cluster:
        number = cluster.site.number
        cluster.start()
        cluster.add_node()
        spec = mounts.pod_spec(["sleep", "600"])
        metadata = {"name": "trainer", "namespace": "default"}
        cluster.connection.kubectl("wait", "serviceaccount/default", "--for=create")
        cluster.connection.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        )
        cluster.connection.kubectl("wait", "pod/trainer", "--for=condition=Ready")
        alive = _traces(number)

    assert set(alive) >= {"processes", "groups", "namespaces", "links", "routes", "folders"}
    assert _traces(number) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: str(s.name))
def test_a_cluster_ends_with_a_test_run_that_is_asked_to_end(number: signal.Signals) -> None:
    with _child() as (child, slot):
        assert _traces(slot)
        child.send_signal(number)
        child.wait(timeout=60)

        assert _traces(slot) == {}


def test_what_a_killed_run_left_is_cleared_by_the_next() -> None:
    with _child() as (child, number):
        child.kill()
        child.wait()

        assert "processes" in _traces(number)
        said: list[str] = []
        slot = slots.take(said.append)
        slot.clear()
        slot.release()
        assert said == [f"clearing away what a run that did not end in order left of {number}"]
        assert _traces(number) == {}
