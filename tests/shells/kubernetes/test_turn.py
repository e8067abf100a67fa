"""One turn over a Study in which something is wrong."""

import asyncio

import pytest

from scaletune.shells.kubernetes.client import STUDY, TRIAL
from scaletune.shells.kubernetes.reconciler import LookAgain
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
