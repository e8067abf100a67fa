"""A trainer image of another release is refused in clear words, once, and costs no more than that.

The image is our own trainer package that says it speaks the next version of the protocol.
"""

import shutil
from pathlib import Path

import pytest

from scaletune.api.conditions import FINISHED, condition
from scaletune_trainer.wire import VERSION
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until

CAREFUL = {**studies.PLAIN, "ASKS_WHO_TALKS": "yes"}
COUNTING = [*studies.QUADRATIC, "--every-step", "--sleep", "0.2"]


@pytest.fixture
def newer(cluster: Connection, crds: list[str], namespace: str, tmp_path: Path) -> None:
    """Claims of a namespace whose pods find a trainer of the next release."""
    folder = tmp_path / "trainer"
    shutil.copytree(mounts.TRAINER.folder, folder)
    names, fields = (folder / "scaletune_trainer" / "wire" / f for f in ("names.py", "fields.py"))
    names.write_text(names.read_text().replace(f"VERSION = {VERSION}", f"VERSION = {VERSION + 1}"))
    careless = "import os\n        if 'ASKS_WHO_TALKS' not in os.environ:\n            return\n"
    head = "    def require_version(self, version: int) -> None:\n        "
    fields.write_text(fields.read_text().replace(head, f"{head}{careless}        "))
    trainer = Mount(mounts.TRAINER.name, folder, mounts.TRAINER.path)
    cluster.apply(*mounts.claims(namespace, [mounts.ENVIRONMENT, trainer, mounts.OPERATOR]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")


@pytest.mark.slow
def test_a_trainer_of_another_release_fails_at_once_and_three_end_the_study(
    cluster: Connection, namespace: str, newer: None, tmp_path: Path
) -> None:
    with Operator(cluster, namespace, tmp_path) as operator:
        spec = {
            "training": {"unit": "Step", "max": 9999},
            "budget": {"trials": 9},
            "parallelism": 1,
        }
        # One asks before it begins, and refuses; the other trains, and is not understood.
        for name, environment in (("careful", CAREFUL), ("careless", studies.PLAIN)):
            cluster.apply(studies.study(namespace, name, COUNTING, environment, **spec))
        for name in ("careful", "careless"):
            study, trials = studies.wait_for_end(cluster, namespace, name, 240)
            finished = condition(study.status.conditions, FINISHED)
            assert finished is not None
            assert finished.reason == "EndedEarly"
            assert len(trials) == 3
            for trial in trials:
                assert trial.status.failure is not None
                assert trial.status.failure.kind == "UserError"
                assert f"version {VERSION + 1}" in trial.status.failure.reason
                assert "release" in trial.status.reason
                assert len(trial.status.attempts) == 1

        def running() -> list[str]:
            pods = cluster.get("pods", "-n", namespace)["items"]
            return [
                pod["metadata"]["name"]
                for pod in pods
                if pod["status"]["phase"] not in ("Succeeded", "Failed")
            ]

        wait_until("no pod trains on for nothing", lambda: running() == [], 120)
        assert operator.complaints() == []
