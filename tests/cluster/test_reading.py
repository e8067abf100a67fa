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


def test_scaling_laws_are_read_from_a_study_on_a_cluster_and_the_study_they_lead_to_is_taken(
    control_plane: Connection, crds: list[str], namespace: str, tmp_path: Path
) -> None:
    name = _store(control_plane, namespace, Folder(run_folder(tmp_path / "run", 24)))
    environment = {"KUBECONFIG": str(control_plane.kubeconfig)}
    larger = tmp_path / "larger.yaml"

    words = ("extrapolate", f"study/{name}", "-n", namespace, "-o", "json", "-w", larger)
    done = scaletune(*words, environment=environment)

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["trials"] == 24
    assert [each["name"] for each in document["parameters"]] == ["N", "D", "lr", "wd"]
    assert scaletune("validate", larger).returncode == 0
    # The server takes it as it is written.
    control_plane.kubectl("apply", "-n", namespace, "--dry-run=server", "-f", str(larger))


def test_a_portfolio_of_a_study_on_a_cluster_is_that_of_its_folder_and_the_study_it_begins_is_taken(
    control_plane: Connection, crds: list[str], namespace: str, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", 24)
    name = _store(control_plane, namespace, Folder(folder))
    environment = {"KUBECONFIG": str(control_plane.kubeconfig)}
    begins = tmp_path / "begins.yaml"

    here = scaletune("portfolio", folder, "--top", "2")
    words = ("portfolio", f"study/{name}", "-n", namespace, "--top", "2", "-w", begins)
    there = scaletune(*words, environment=environment)

    assert there.returncode == 0, there.stderr
    # The same configurations; the comments above them name the study, not the folder.
    assert there.stdout.partition("initial:")[2] == here.stdout.partition("initial:")[2] != ""
    control_plane.kubectl("apply", "-n", namespace, "--dry-run=server", "-f", str(begins))
