"""The test cluster is a real Kubernetes: its pods run, report, and are reached by name."""

import textwrap
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import mounts
from tests.cluster.connection import Connection, Refused
from tests.cluster.mounts import Mount


def _manifest(namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": "trainer", "namespace": namespace, "labels": {"app": "trainer"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _job(namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "trainer"}}, "spec": spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "trainer", "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": template},
    }


def _python(code: str) -> Sequence[str]:
    return ["python3", "-c", textwrap.dedent(code)]


def _wait_for(connection: Connection, namespace: str, phase: str) -> dict[str, Any]:
    """The pod, once it is in a phase."""
    condition = f"--for=jsonpath={{.status.phase}}={phase}"
    connection.kubectl("wait", "-n", namespace, "pod/trainer", condition, "--timeout=60s")
    return dict(connection.get("pod", "trainer", "-n", namespace))


def test_the_api_server_is_ready(control_plane: Connection) -> None:
    assert control_plane.is_ready()


def test_a_refusal_is_told_in_the_words_of_the_api_server(control_plane: Connection) -> None:
    with pytest.raises(Refused) as refusal:
        control_plane.kubectl("get", "pod", "nobody", "-n", "default")

    assert refusal.value.words == 'Error from server (NotFound): pods "nobody" not found'


def test_a_pod_that_is_not_restricted_is_refused(control_plane: Connection, namespace: str) -> None:
    spec = mounts.pod_spec(["true"])
    spec["securityContext"]["runAsNonRoot"] = False

    with pytest.raises(Refused, match=r"violates PodSecurity \"restricted:latest\""):
        control_plane.apply(_manifest(namespace, spec))


def test_every_node_is_ready_or_becomes_so(cluster: Connection) -> None:
    told = cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=120s")

    assert len(told.splitlines()) == len(cluster.get("nodes")["items"]) > 0


def test_a_restricted_pod_runs_and_its_last_words_are_in_its_status(
    cluster: Connection, namespace: str
) -> None:
    code = """
        with open("/dev/termination-log", "w") as file:
            file.write("I did what I came for")
        raise SystemExit(7)
        """
    cluster.apply(_manifest(namespace, mounts.pod_spec(_python(code))))

    [container] = _wait_for(cluster, namespace, "Failed")["status"]["containerStatuses"]
    ended = container["state"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (7, "I did what I came for")


def test_the_machine_reaches_a_pod_by_its_address(cluster: Connection, namespace: str) -> None:
    spec = mounts.pod_spec(["python3", "-m", "http.server", "9464", "--directory", "/etc"])
    # Running is not yet listening; the kubelet asks.
    spec["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 9464}, "periodSeconds": 1}
    cluster.apply(_manifest(namespace, spec))
    words = ["pod/trainer", "--for=condition=Ready", "--timeout=60s"]
    cluster.kubectl("wait", "-n", namespace, *words)
    address = cluster.get("pod", "trainer", "-n", namespace)["status"]["podIP"]

    with urllib.request.urlopen(f"http://{address}:9464/hostname", timeout=10) as answer:
        assert answer.read().strip() == b"trainer"
    assert "GET /hostname" in cluster.kubectl("logs", "-n", namespace, "trainer")
    assert cluster.kubectl("exec", "-n", namespace, "trainer", "--", "id", "-u") == "1000\n"


def test_pods_find_services_by_name_and_nothing_else(cluster: Connection, namespace: str) -> None:
    code = """
        import socket
        print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))
        try:
            socket.gethostbyname("example.com")
        except socket.gaierror as error:
            print(error.strerror)
        """
    cluster.apply(_manifest(namespace, mounts.pod_spec(_python(code))))
    _wait_for(cluster, namespace, "Succeeded")

    service = cluster.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]
    said = cluster.kubectl("logs", "-n", namespace, "trainer").splitlines()
    assert said == [service, "Name or service not known"]


def test_what_a_pod_writes_to_the_checkpoint_volume_is_there_for_the_test(
    cluster: Connection, namespace: str, checkpoints: Mount
) -> None:
    command = ["sh", "-c", f"echo saved > {checkpoints.path}/step-1"]
    cluster.apply(
        *mounts.claims(namespace, [checkpoints]),
        _manifest(namespace, mounts.pod_spec(command, [checkpoints])),
    )
    _wait_for(cluster, namespace, "Succeeded")

    assert (checkpoints.folder / "step-1").read_text() == "saved\n"


@pytest.mark.slow
def test_a_job_under_torchrun_completes(
    cluster: Connection, namespace: str, checkpoints: Mount
) -> None:
    script = checkpoints.folder / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import os
            import scaletune_trainer
            import torch
            import torch.distributed as dist

            dist.init_process_group("gloo")
            ones = torch.ones(3)
            dist.all_reduce(ones)
            with open(f"{os.path.dirname(__file__)}/sum", "w") as file:
                file.write(f"{ones.sum().item()} of {dist.get_world_size()}")
            """
        )
    )
    inside = f"{checkpoints.path}/{script.name}"
    command = ["python3", "-m", "torch.distributed.run", "--standalone", inside]
    used = (*mounts.PYTHON, checkpoints)
    cluster.apply(
        *mounts.claims(namespace, used),
        _job(namespace, mounts.pod_spec(command, used)),
    )
    words = ["job/trainer", "--for=condition=Complete", "--timeout=120s"]
    cluster.kubectl("wait", "-n", namespace, *words)

    assert Path(checkpoints.folder / "sum").read_text() == "3.0 of 1"
