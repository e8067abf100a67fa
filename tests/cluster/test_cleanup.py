"""What stays on the volume when a study has ended, deleted by a real Job in a restricted pod."""

import json
from functools import partial
from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.discarded import has_lost
from scaletune_trainer import wire
from tests.cluster import studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until

ASHA: dict[str, Any] = {
    "training": {"unit": "Step", "max": 4},
    "policy": {"asha": {"eta": 2, "min": 2, "mode": "Promote"}},
    "budget": {"trials": 4},
    "parallelism": 4,
}


def _kept(checkpoints: Mount, study: Study, trial: Trial) -> list[str]:
    """The steps of a trial's checkpoints that are on the volume."""
    folder = checkpoints.folder / study.metadata.uid / trial.metadata.name
    lives = [wire.checkpoints_folder(life) for life in folder.iterdir()]
    return sorted(step.name for life in lives if life.is_dir() for step in life.iterdir())


def _is_cleaned_up(cluster: Connection, namespace: str, name: str) -> bool:
    trials = studies.stored(cluster, namespace, name)[1]
    is_freed = all(trial.status.checkpoint is None for trial in trials if has_lost(trial))
    return is_freed and not _jobs(cluster, namespace, name)


def _jobs(cluster: Connection, namespace: str, name: str) -> list[dict[str, Any]]:
    jobs = cluster.get("jobs", "-n", namespace)["items"]
    return [job for job in jobs if job["metadata"]["name"] == f"{name}-cleanup"]


def _check(cluster: Connection, namespace: str, name: str, checkpoints: Mount) -> None:
    """Only what has lost, or all of it, is gone."""
    wait_until("it is cleaned up", partial(_is_cleaned_up, cluster, namespace, name), 120)
    study, trials = studies.stored(cluster, namespace, name)
    assert any(map(has_lost, trials))
    for trial in trials:
        assert bool(_kept(checkpoints, study, trial)) != has_lost(trial), trial.metadata.name


@pytest.mark.slow
def test_only_checkpoints_that_may_be_wanted_outlive_a_study_and_it_can_still_go_on(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    keeping = {**studies.claim(), "keep": "All"}
    cluster.apply(studies.study(namespace, "thrifty", checkpoints=studies.claim(), **ASHA))
    cluster.apply(studies.study(namespace, "keeping", checkpoints=keeping, **ASHA))

    def is_begun() -> bool:
        has_begun = bool(_jobs(cluster, namespace, "thrifty"))
        return has_begun or _is_cleaned_up(cluster, namespace, "thrifty")

    studies.wait_for_end(cluster, namespace, "thrifty", 120)
    wait_until("it is being cleaned up", is_begun, 60)
    operator.kill()
    operator.start()
    _check(cluster, namespace, "thrifty", checkpoints)
    studies.wait_for_end(cluster, namespace, "keeping", 120)
    study, trials = studies.stored(cluster, namespace, "keeping")
    assert all(_kept(checkpoints, study, trial) for trial in trials)
    assert _jobs(cluster, namespace, "keeping") == []

    patch = json.dumps({"spec": {"budget": {"trials": 8}}})
    cluster.kubectl("patch", "study", "thrifty", "-n", namespace, "--type=merge", "-p", patch)
    wait_until("it goes on", lambda: len(studies.stored(cluster, namespace, "thrifty")[1]) == 8, 60)
    studies.wait_for_end(cluster, namespace, "thrifty", 120)
    _check(cluster, namespace, "thrifty", checkpoints)
    assert operator.complaints() == []


@pytest.mark.slow
def test_what_cannot_be_deleted_is_told_and_can_be_tried_again(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    made = studies.study(namespace, "trapped", checkpoints=studies.claim(), **ASHA)
    cluster.apply(made)
    wait_until("it begins", lambda: studies.stored(cluster, namespace, "trapped")[1], 60)
    study, _ = studies.stored(cluster, namespace, "trapped")
    elsewhere = checkpoints.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    traps = [
        wire.checkpoints_folder(checkpoints.folder / study.metadata.uid / name / "trap")
        for name in (f"trapped-{index:04}" for index in range(4))
    ]
    for trap in traps:
        trap.parent.mkdir(parents=True)
        for folder in trap.parents[1:3]:
            folder.chmod(0o777)  # the trial itself writes there as well
        trap.symlink_to("../../../elsewhere")  # wherever the volume is mounted

    def is_told() -> bool:
        return "CleanupFailed" in cluster.kubectl("describe", "study", "trapped", "-n", namespace)

    wait_until("it is told", is_told, 240)
    assert (elsewhere / "precious").exists()
    [job] = _jobs(cluster, namespace, "trapped")
    words = cluster.kubectl("logs", f"job/{job['metadata']['name']}", "-n", namespace)
    assert "cannot delete" in words
    for trap in traps:
        trap.unlink()
    cluster.kubectl("delete", "job", job["metadata"]["name"], "-n", namespace)
    _check(cluster, namespace, "trapped", checkpoints)
    assert operator.complaints() == []
