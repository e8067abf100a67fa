"""A clean-up that cannot be done: people are told, nothing is forgotten, and no loop is endless."""

import asyncio
import time
from typing import Any

import pytest

from scaletune.shells.kubernetes.seen.snapshot import Snapshot
from scaletune.shells.kubernetes.server.client import JOB, STUDY, TRIAL
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell
from scaletune.shells.kubernetes.turn.apply import Writer
from scaletune.shells.kubernetes.turn.cleanup import Cleanup, Step
from tests.shells.kubernetes import given
from tests.shells.kubernetes.fake import Cluster
from tests.shells.kubernetes.given import KEY

FINISHED = {"type": "Finished", "status": "True", "reason": "Completed"}


def _cluster() -> Cluster:
    """A study that has ended, and of which one trial has failed."""
    cluster = Cluster()
    raw = given.raw_study()
    raw["metadata"] = {"name": "s", "namespace": "ml"}
    raw["status"] = {"conditions": [FINISHED]}
    study = cluster.add(STUDY, raw)
    owner = {"uid": study["metadata"]["uid"], "controller": True, "kind": "Study"}
    status = {"state": "Failed", "checkpoint": {"incarnation": "life", "step": 2}}
    metadata = {"name": "s-0000", "namespace": "ml", "ownerReferences": [owner]}
    spec = {"study": "s", "index": 0}
    cluster.add(TRIAL, {"metadata": metadata, "spec": spec, "status": status})
    return cluster


async def _look(cluster: Cluster, later: float = 0.0) -> Step:
    """A look of an operator that knows nothing of earlier ones."""
    shell = Shell(cluster, Settings())
    cluster.show(shell)
    snapshot = Snapshot.take(shell.stores, KEY)
    assert snapshot is not None
    step = await Cleanup(cluster, Writer(cluster, shell.stores)).follow(
        snapshot, time.time() + later
    )
    await shell.stop()
    return step


def _looks(cluster: Cluster, later: float = 0.0, **job: Any) -> tuple[list[str], float | None]:
    """What is said at the second look, at a Job of which this is known; and when the next is due.

    Neither it nor a third one writes anything.
    """

    async def scenario() -> Step:
        await _look(cluster)
        [made] = cluster.all(JOB)
        for part, more in job.items():
            cluster.objects[JOB.name, made["metadata"]["name"]].setdefault(part, {}).update(more)
        writes = cluster.writes
        step = await _look(cluster, later)
        await _look(cluster, later)
        assert cluster.writes == writes
        return step

    step = asyncio.run(scenario())
    [trial] = cluster.all(TRIAL)
    assert trial["status"]["checkpoint"]["step"] == 2
    return [each.reason for each in step.said], step.again_in


FAILED = {"conditions": [{"type": "Failed", "status": "True"}]}


@pytest.mark.parametrize(
    ("later", "job", "said"),
    [
        pytest.param(0.0, {"status": FAILED}, ["CleanupFailed"], id="it has failed"),
        pytest.param(500.0, {"status": {"active": 1}}, ["CleanupWaiting"], id="no pod runs"),
        pytest.param(500.0, {"status": {"ready": 1}}, [], id="its pod runs for long"),
        pytest.param(10.0, {"status": {"active": 1}}, [], id="its pod has not started yet"),
        pytest.param(
            0.0,
            {"metadata": {"ownerReferences": [{"uid": "another"}]}},
            ["CleanupFailed"],
            id="it is not ours",
        ),
        pytest.param(
            0.0,
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": FAILED},
            [],
            id="it is going",
        ),
    ],
)
def test_what_stands_in_the_way_of_a_clean_up_is_said_and_nothing_is_written(
    later: float, job: dict[str, Any], said: list[str]
) -> None:
    told, again_in = _looks(_cluster(), later, **job)

    assert told == said
    assert again_in == (60.0 if said else 5.0)


def test_a_template_that_has_become_wrong_since_is_told() -> None:
    cluster = _cluster()
    [name] = [name for kind, name in cluster.objects if kind == STUDY.name]
    pod = cluster.objects[STUDY.name, name]["spec"]["template"]["pod"]
    del pod["spec"]["containers"][0]["command"]

    step = asyncio.run(_look(cluster))

    assert [each.reason for each in step.said] == ["CleanupFailed"]
    assert "has no command" in step.said[0].text
    assert cluster.all(JOB) == []


def test_a_job_about_other_trials_is_replaced_by_one_about_these() -> None:
    async def scenario(cluster: Cluster) -> list[str]:
        await _look(cluster)
        [job] = cluster.all(JOB)
        annotations = cluster.objects[JOB.name, job["metadata"]["name"]]["metadata"]["annotations"]
        annotations["scaletune.dev/cleanup"] = "of others"
        cluster.tick()  # it is done
        for _ in range(2):
            await _look(cluster)
        [again] = cluster.all(JOB)
        return [job["metadata"]["uid"], again["metadata"]["uid"]]

    cluster = _cluster()
    first, second = asyncio.run(scenario(cluster))

    assert first != second
    [trial] = cluster.all(TRIAL)
    assert trial["status"]["checkpoint"]["step"] == 2
