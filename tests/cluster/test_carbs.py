"""Trials in real pods that are as long as a parameter says, and report what they cost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import scaletune
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator

SCRIPT = ["python3", f"{mounts.SCRIPTS.path}/growing.py"]
PATIENCE = 240


@pytest.fixture
def operator(
    cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    cluster.apply(*mounts.claims(namespace, [checkpoints, mounts.SCRIPTS, *mounts.PYTHON]))
    with Operator(cluster, namespace, tmp_path) as running:
        yield running


@pytest.mark.slow
def test_each_trial_is_as_long_as_it_says_and_costs_what_it_reports(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    study = studies.study(
        namespace,
        "sizes",
        SCRIPT,
        parameters=[
            {"name": "size", "int": {"min": 1, "max": 64, "scale": "Log", "center": 4}},
            {"name": "length", "int": {"min": 2, "max": 40, "scale": "Log", "center": 3}},
        ],
        training={"unit": "Step", "max": {"parameter": "length"}},
        policy={"carbs": {"milestones": [2], "costMetric": "flops"}},
        parallelism=2,
        budget={"trials": 5},
        checkpoints=studies.claim(),
    )
    pod = study["spec"]["template"]["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    cluster.apply(study)

    _, trials = studies.wait_for_end(cluster, namespace, "sizes", PATIENCE)

    assert len(trials) == 5
    for trial in trials:
        values, last = trial.spec.used, trial.status.milestones[-1]
        assert trial.status.state == "Completed"
        assert last.at == last.step == trial.spec.until == values["length"]
        assert last.cost == float(values["size"]) * last.step
    told = scaletune(
        *("status", "study/sizes", "-n", namespace),
        environment={"KUBECONFIG": str(cluster.kubeconfig)},
    )
    assert "front: flops" in told.stdout, told.stderr
