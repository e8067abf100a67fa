"""What a cluster holds is read from the command line as the folder of a run is; no pod has to run.

The trials are those of a folder, stored as an operator would have stored them.
"""

import json
from pathlib import Path
from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.local.folder import Folder
from tests.cli.command import scaletune
from tests.cli.test_extrapolate import run_folder
from tests.cluster.connection import Connection

Json = dict[str, Any]


def _store(cluster: Connection, namespace: str, folder: Folder) -> str:
    """Put a folder's Study and Trials into a namespace, each with its status; the Study's name."""
    study = folder.read_study()
    assert study is not None
    name = study.metadata.name
    _apply(cluster, [_manifest(study, {"name": name, "namespace": namespace})])
    owner: Json = {"apiVersion": "scaletune.dev/v1alpha1", "kind": "Study", "name": name}
    owner["uid"] = cluster.get("study", name, "-n", namespace)["metadata"]["uid"]
    owner["controller"] = True
    manifests = [
        _manifest(
            trial,
            {
                "name": trial.metadata.name,
                "namespace": namespace,
                "labels": {STUDY_LABEL: name},
                "ownerReferences": [owner],
            },
        )
        for trial in folder.read_trials().values()
    ]
    _apply(cluster, manifests)
    _apply(cluster, manifests, "--server-side", "--force-conflicts", "--subresource=status")
    return name


def _apply(cluster: Connection, manifests: list[Json], *flags: str) -> None:
    """In JSON: the YAML of kubectl takes a parameter named N for a boolean."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    cluster.kubectl("apply", *flags, "-f", "-", stdin=items)


def _manifest(stored: Study | Trial, metadata: Json) -> Json:
    return {**stored.to_yaml_fields(), "metadata": metadata}


def test_the_laws_of_a_study_on_a_cluster_are_those_of_the_same_run_in_a_folder(
    control_plane: Connection, crds: list[str], namespace: str, tmp_path: Path
) -> None:
    run = run_folder(tmp_path / "run", 24)
    name = _store(control_plane, namespace, Folder(run))
    environment = {"KUBECONFIG": str(control_plane.kubeconfig)}
    here, there = tmp_path / "here.yaml", tmp_path / "there.yaml"

    asked = ("extrapolate", f"study/{name}", "-n", namespace, "-o", "json", "-w", there)
    read = scaletune(*asked, environment=environment)
    known = scaletune("extrapolate", run, "-o", "json", "-w", here)

    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout) == json.loads(known.stdout)
    assert scaletune("validate", there).returncode == 0
    # The server takes what is written as it stands.
    control_plane.kubectl("apply", "-n", namespace, "--dry-run=server", "-f", str(there))
