"""The chart installs a working operator: pods of its own image, with the rights it grants."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaletune.api.conditions import FINISHED, condition
from tests.cluster import operators_image, studies
from tests.cluster.connection import Connection, Refused
from tests.cluster.operators import wait_until
from tests.cluster.releases import Release
from tests.cluster.standing import Standing
from tests.helm import chart

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_clusters")]


def _run(cluster: Connection, namespace: str, name: str) -> None:
    """Take a Study from `kubectl apply` to its end."""
    cluster.apply(
        studies.study(
            namespace,
            name,
            parallelism=2,
            policy={"asha": {"eta": 3, "min": 1, "mode": "Promote"}},
            budget={"trials": 3},
            checkpoints=studies.claim(),
        )
    )
    made, trials = studies.wait_for_end(cluster, namespace, name, seconds_max=180)
    finished = condition(made.status.conditions, FINISHED)
    assert finished is not None
    assert finished.reason == "Completed"
    assert len(trials) == 3
    assert "Completed" in {trial.status.state for trial in trials}


def test_helm_installs_upgrades_and_uninstalls_a_working_operator(
    cluster: Connection, standing: Standing, namespace: str, release: Release
) -> None:
    # Other tests have applied the definitions by kubectl: the release takes them over.
    install = ("--wait", "--timeout=3m", "--take-ownership")
    said = release.helm("install", str(chart.CHART), *install)
    assert "kubectl apply -f study.yaml" in said
    pods = release.pods()
    assert len(pods) == 2
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {operators_image.NAME}

    _run(cluster, namespace, "first")
    owned, selector = "trials,jobs,pods,services", "scaletune.dev/study=first"
    assert _names(cluster, namespace, owned, selector)
    cluster.kubectl("delete", "study", "first", "-n", namespace)
    wait_until("all is gone", lambda: _names(cluster, namespace, owned, selector) == [], 90)

    # From all namespaces to one: the old pods are still on their way out when their role is gone.
    standing.deprive(namespace)
    values = {"watch": {"namespaces": [namespace]}, "replicas": 1, "resyncSeconds": 30}
    release.helm("upgrade", str(chart.CHART), "--wait", "--timeout=3m", values=values)
    wait_until("one pod is left", lambda: len(release.pods()) == 1, 60)
    assert not _is_there(cluster, "clusterrole", f"{namespace}-scaletune")
    _run(cluster, namespace, "second")

    release.helm("uninstall", "--wait", "--timeout=2m")
    assert release.pods() == []
    assert _names(cluster, namespace, "studies") == ["second"]
    assert _is_there(cluster, "crd", "studies.scaletune.dev")
    # What was kept is taken up under the same name, without being told to.
    release.helm("install", str(chart.CHART), values={"replicas": 0})


def _names(cluster: Connection, namespace: str, kinds: str, selector: str = "") -> list[str]:
    found = cluster.get(kinds, "-n", namespace, "-l", selector)["items"]
    return [each["metadata"]["name"] for each in found]


def _is_there(cluster: Connection, kind: str, name: str) -> bool:
    try:
        cluster.kubectl("get", kind, name)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("values", chart.VALUES.values(), ids=chart.VALUES)
def test_the_server_takes_all_that_the_chart_makes(
    control_plane: Connection, crds: list[str], namespace: str, values: dict[str, Any]
) -> None:
    """With the definitions of the Prometheus operator, as they are in its own repository."""
    control_plane.kubectl("apply", "--server-side", "-f", str(_pod_monitors()))
    here = {"watch": {"namespaces": [namespace]}, "dashboards": {"enabled": True}}
    made = chart.rendered({**values, **here}, namespace=namespace)

    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    control_plane.kubectl(*words, "-f", "-", stdin=yaml.safe_dump_all(made))


def _pod_monitors() -> Path:
    """The definition of PodMonitor, from the module that Go keeps."""
    module = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
    command = ["go", "mod", "download", "-json", module]
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    folder = Path(json.loads(done.stdout)["Dir"]) / "example/prometheus-operator-crd"
    return folder / "monitoring.coreos.com_podmonitors.yaml"


def test_the_image_holds_what_the_operator_needs_and_no_more(
    operator_image: Path, tmp_path: Path
) -> None:
    names = _files(operator_image, tmp_path)

    packages = "opt/scaletune/lib/python3.11/site-packages/"
    assert f"{packages}scaletune/shells/kubernetes/operate.py" in names
    for absent in ("torch", "pip", "setuptools", "pytest"):
        assert not [name for name in names if name.startswith(f"{packages}{absent}/")], absent
    assert not [
        name for name in names if "/.cache/" in name or name.startswith(("wheels/", "source/"))
    ]
    assert operator_image.stat().st_size < 180e6


def _files(archive: Path, folder: Path) -> set[str]:
    """The names of all files in the layers of an image."""
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    [manifest] = json.loads((folder / "index.json").read_text())["manifests"]

    def blob(digest: str) -> Path:
        return folder / "blobs" / digest.replace(":", "/")

    layers = json.loads(blob(manifest["digest"]).read_text())["layers"]
    names: set[str] = set()
    for layer in layers:
        listed = subprocess.run(
            ["tar", "-tzf", blob(layer["digest"])], capture_output=True, text=True, check=True
        )
        names |= {name.removeprefix("./") for name in listed.stdout.splitlines()}
    return names
