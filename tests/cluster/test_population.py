"""Population based training on real pods: trials go on from each other's checkpoints.

The script keeps the rate of each step in its checkpoint, so that what a trial was trained with can
be read there, piece by piece, and compared with the lineage that is stored.
"""

import json
from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.lineage import lineage
from tests.cli.command import scaletune
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator

SCRIPT = ["python3", f"{mounts.SCRIPTS.path}/lineage.py"]
PATIENCE = 240


def _study(namespace: str, name: str, parallelism: int) -> dict[str, Any]:
    """Rates are summed: the smallest is the best, whatever comes first."""
    made = studies.study(
        namespace,
        name,
        SCRIPT,
        parameters=[{"name": "x", "float": {"min": 0.001, "max": 1}}],
        initial=[{"x": value} for value in (0.9, 0.1, 0.5, 0.4)],
        training={"unit": "Step", "max": 6},
        policy={"pbt": {"population": 4, "interval": 2, "resample": 0}},
        budget={"trials": 4},
        parallelism=parallelism,
        checkpoints=studies.claim(),
    )
    pod = made["spec"]["template"]["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    return made


def _trained_with(checkpoints: Mount, study: Study, trial: Trial) -> list[float]:
    """The rate of each step, as the trial's last checkpoint holds them."""
    place = trial.status.checkpoint
    assert place is not None
    folder = checkpoints.folder / study.metadata.uid / trial.metadata.name / place.incarnation
    state = json.loads((folder / "checkpoints" / str(place.step) / "state.json").read_text())
    rates: list[float] = state["plain"]["past"]["rates"]
    return rates


@pytest.mark.slow
def test_the_weak_go_on_in_new_pods_from_the_checkpoints_of_the_strong(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    cluster.apply(*mounts.claims(namespace, [mounts.SCRIPTS]))
    cluster.apply(_study(namespace, "few", parallelism=2), _study(namespace, "all", parallelism=4))

    for name in ("few", "all"):
        study, found = studies.wait_for_end(cluster, namespace, name, PATIENCE)
        trials = {trial.index: trial for trial in found}
        assert len(trials) == 4
        for trial in found:
            assert trial.status.state == "Completed", (name, trial.status.reason)
            told = [
                piece.used["x"]
                for piece in lineage(trials.get, trial)
                for _ in range(piece.start, piece.until)
            ]
            assert _trained_with(checkpoints, study, trial) == pytest.approx(told)
        if name == "few":
            _check_from_scratch(cluster, namespace, checkpoints, study, trials[0])
        # Where all wait for each other the worst of them all gives up.
        if name == "few":
            taken = {each.index: [e.donor for e in each.status.exploits][:1] for each in found}
            assert taken[0] == [1]
    assert operator.complaints() == []


def _check_from_scratch(
    cluster: Connection, namespace: str, checkpoints: Mount, study: Study, trial: Trial
) -> None:
    """The schedule of a trial, trained by one trial alone, changes its values at the same steps."""
    file = checkpoints.folder / "again.yaml"
    wish = ("--trial", trial.metadata.name, "--write", str(file))
    told = scaletune(
        *("schedule", f"study/{study.metadata.name}", "-n", namespace, *wish),
        environment={"KUBECONFIG": str(cluster.kubeconfig)},
    )
    assert told.returncode == 0, told.stderr
    cluster.kubectl("apply", "-n", namespace, "-f", str(file))

    name = f"{study.metadata.name}-schedule"
    again, [alone] = studies.wait_for_end(cluster, namespace, name, PATIENCE)

    assert alone.status.state == "Completed", alone.status.reason
    assert alone.spec.schedule
    told_rates = _trained_with(checkpoints, study, trial)
    assert _trained_with(checkpoints, again, alone) == pytest.approx(told_rates)
