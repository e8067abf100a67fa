"""One turn over a Study in which something is wrong."""

import asyncio
from typing import Any

import pytest

from scaletune.shells.kubernetes.server.client import STUDY, TRIAL
from scaletune.shells.kubernetes.server.reconciler import LookAgain
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell
from tests.shells.kubernetes import given
from tests.shells.kubernetes.fake import Cluster
from tests.shells.kubernetes.given import KEY


async def _turn(cluster: Cluster, shell: Shell) -> None:
    for _ in range(20):
        cluster.show(shell)
        try:
            await shell.reconcile(KEY)
        except LookAgain:
            continue
        return
    raise AssertionError("no turn comes to its end")


def _earlier() -> tuple[dict[str, Any], dict[str, Any]]:
    """A Study that has ended, and the Trial that it tried."""
    study = given.raw_study()
    study["metadata"] = {"name": "old", "namespace": "ml"}
    trial = given.raw_trial(milestones=[{"at": 27, "value": 1.0}])
    trial["metadata"] = {"name": "old-0000", "namespace": "ml"}
    trial["spec"]["study"] = "old"
    return study, trial


def test_a_study_waits_for_an_earlier_one_and_begins_with_its_best_when_it_has_ended() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        study = given.raw_study(warmStart=[{"study": "old"}])
        study["metadata"] = {"name": "s", "namespace": "ml"}
        cluster.add(STUDY, study)
        shell = Shell(cluster, Settings())
        assert await _unready(cluster, shell) == "EarlierStudyMissing"

        study, trial = _earlier()
        owner = cluster.add(STUDY, study)["metadata"]["uid"]
        owners = [{"uid": owner, "controller": True, "kind": "Study", "name": "old"}]
        trial["metadata"]["ownerReferences"] = owners
        cluster.add(TRIAL, trial)
        assert await _unready(cluster, shell) == "EarlierStudyUnfinished"
        assert len(cluster.all(TRIAL)) == 1

        ended = {"type": "Finished", "status": "True", "reason": "Completed"}
        [raw] = [each for each in cluster.all(STUDY) if each["metadata"]["name"] == "old"]
        await cluster.replace(STUDY, {**raw, "status": {"conditions": [ended]}}, "status")
        await _turn(cluster, shell)
        await shell.stop()

        [raw] = [each for each in cluster.all(STUDY) if each["metadata"]["name"] == "s"]
        assert raw["status"]["prior"]["configurations"] == [{"x": 0.25}]
        [first] = [each for each in cluster.all(TRIAL) if each["spec"]["study"] == "s"]
        assert first["spec"]["origin"]["kind"] == "WarmStart"
        assert first["spec"]["parameters"] == [{"name": "x", "float": 0.25}]

    asyncio.run(scenario())


def test_what_an_earlier_study_has_seen_is_stored_with_the_study_that_learns_from_it() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        earlier, trial = _earlier()
        owner = cluster.add(STUDY, earlier)["metadata"]["uid"]
        owners = [{"uid": owner, "controller": True, "kind": "Study", "name": "old"}]
        trial["metadata"]["ownerReferences"] = owners
        cluster.add(TRIAL, trial)
        ended = {"type": "Finished", "status": "True", "reason": "Completed"}
        [raw] = cluster.all(STUDY)
        await cluster.replace(STUDY, {**raw, "status": {"conditions": [ended]}}, "status")
        study = given.raw_study(warmStart=[{"study": "old", "mode": "Observations"}])
        study["metadata"] = {"name": "s", "namespace": "ml"}
        cluster.add(STUDY, study)
        shell = Shell(cluster, Settings())
        await _turn(cluster, shell)
        await shell.stop()

        [raw] = [each for each in cluster.all(STUDY) if each["metadata"]["name"] == "s"]
        [observed] = raw["status"]["prior"]["observations"]
        assert (observed["study"], observed["configurations"]) == ("old", [{"x": 0.25}])
        assert raw["status"]["prior"]["configurations"] == []
        assert [each for each in cluster.all(TRIAL) if each["spec"]["study"] == "s"]

    asyncio.run(scenario())


async def _unready(cluster: Cluster, shell: Shell) -> str:
    """Why the Study is not ready after a turn."""
    await _turn(cluster, shell)
    [study] = [each for each in cluster.all(STUDY) if each["metadata"]["name"] == "s"]
    [ready] = [each for each in study["status"]["conditions"] if each["type"] == "Ready"]
    return str(ready["reason"])


@pytest.mark.parametrize("wish", ["Paused", "Stopped"])
def test_a_template_that_is_wrong_keeps_nobody_from_pausing_or_stopping(wish: str) -> None:
    async def scenario() -> list[str]:
        cluster = Cluster()
        raw = given.raw_study()
        raw["metadata"] = {"name": "s", "namespace": "ml"}
        cluster.add(STUDY, raw)
        shell = Shell(cluster, Settings())
        await _turn(cluster, shell)
        assert cluster.all(TRIAL)

        [study] = cluster.all(STUDY)
        study["spec"]["state"] = wish
        del study["spec"]["template"]["pod"]["spec"]["containers"][0]["command"]
        await cluster.replace(STUDY, study)
        await _turn(cluster, shell)
        await _turn(cluster, shell)
        await shell.stop()
        return [trial["spec"].get("state", "Running") for trial in cluster.all(TRIAL)]

    assert set(asyncio.run(scenario())) == {wish}
