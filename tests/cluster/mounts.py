"""Folders of this machine inside pods: PyTorch, our own packages, and a volume for checkpoints.

An image with PyTorch is several gigabytes, too big to make and import for each run of the tests,
and the machine has it installed already. So pods mount the environment that the tests themselves
run in. The `restricted` level of pod security forbids hostPath volumes, but not claims: each folder
becomes a PersistentVolume bound to a claim in the test's namespace. The image's own Python runs
what is mounted, so the environment has to be of the same version.

A cluster elsewhere has none of these folders. SCALETUNE_TEST_IMAGE then names an image that has
Python, PyTorch and our packages in it; nothing read-only is mounted, and writable volumes are
claimed from the cluster's default storage class.
"""

import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tests.cluster import images
from tests.cluster.connection import Connection
from tests.cluster.faults import Missing

REPOSITORY = Path(__file__).parents[2]
# Everyone's number in pods; anything but 0 satisfies the restricted level.
USER = 1000
LABEL = "scaletune.dev/test-namespace"


@dataclass(frozen=True)
class Mount:
    """One folder, and where pods see it; read-only unless said otherwise."""

    name: str
    folder: Path
    path: str
    is_writable: bool = False


ENVIRONMENT = Mount("environment", Path(sys.prefix), "/mnt/environment")
TRAINER = Mount("trainer", REPOSITORY / "trainer-image", "/mnt/trainer")
OPERATOR = Mount("operator", REPOSITORY / "operator", "/mnt/operator")
SCRIPTS = Mount("scripts", REPOSITORY / "tests" / "trainer" / "scripts", "/mnt/scripts")
"""Training scripts that only tests use."""
_GIVEN_IMAGE = os.environ.get("SCALETUNE_TEST_IMAGE")
IMAGE = _GIVEN_IMAGE or images.NAME
PULL_POLICY = "IfNotPresent" if _GIVEN_IMAGE else "Never"
# What a container needs in order to run PyTorch and our packages.
PYTHON = () if _GIVEN_IMAGE else (ENVIRONMENT, TRAINER, OPERATOR)


def python_environment() -> dict[str, str]:
    """The variables with which the image's Python finds what PYTHON mounts."""
    if sys.version_info[:2] != images.PYTHON:
        needed = ".".join(map(str, images.PYTHON))
        raise Missing(
            [f"Pods run Python {needed}: make the environment of the tests with python{needed}."]
        )
    packages = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    paths = [PurePosixPath(ENVIRONMENT.path) / packages, TRAINER.path, OPERATOR.path]
    return {
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(map(str, paths)),
        "PYTHONUNBUFFERED": "1",
    }


def claims(namespace: str, mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    """The manifests that make folders claimable in a namespace, by the names of the mounts."""
    manifests = []
    for mount in mounts:
        claim_spec: dict[str, Any] = {
            "accessModes": ["ReadWriteMany" if mount.is_writable else "ReadOnlyMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        }
        if not _GIVEN_IMAGE:
            volume = _volume(namespace, mount)
            manifests.append(volume)
            claim_spec |= {"storageClassName": "", "volumeName": volume["metadata"]["name"]}
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": mount.name, "namespace": namespace},
            "spec": claim_spec,
        }
        manifests.append(claim)
    return manifests


def _volume(namespace: str, mount: Mount) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{mount.name}", "labels": {LABEL: namespace}},
        "spec": {
            "accessModes": ["ReadWriteMany" if mount.is_writable else "ReadOnlyMany"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": namespace, "name": mount.name},
            "hostPath": {"path": str(mount.folder), "type": "Directory"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
        },
    }


def volumes(mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    """The `volumes` of a pod that uses the claims, with room for temporary files."""
    made: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    for mount in mounts:
        claim = {"claimName": mount.name, "readOnly": not mount.is_writable}
        made.append({"name": mount.name, "persistentVolumeClaim": claim})
    return made


def volume_mounts(mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    """The `volumeMounts` of a container that goes with `volumes`."""
    made: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]
    for mount in mounts:
        read_only = not mount.is_writable
        made.append({"name": mount.name, "mountPath": mount.path, "readOnly": read_only})
    return made


def pod_spec(
    command: Sequence[str],
    mounts: Sequence[Mount] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A pod's spec that the restricted level admits: one container named `trainer`, run once."""
    variables = dict(environment or {})
    if ENVIRONMENT in mounts:
        variables = {**python_environment(), **variables}
    container = {
        "name": "trainer",
        "image": IMAGE,
        "imagePullPolicy": PULL_POLICY,
        "command": list(command),
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": volume_mounts(mounts),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes(mounts),
        "containers": [container],
    }


def release(connection: Connection, namespace: str) -> None:
    """Delete the volumes made for a namespace; claims go with it, volumes belong to nobody."""
    connection.kubectl("delete", "persistentvolume", "-l", f"{LABEL}={namespace}", "--wait=false")
