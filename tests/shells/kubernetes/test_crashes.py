"""The operator may die at any write: the study ends as if nothing had happened."""

import asyncio
from functools import cache
from itertools import cycle

import pytest

from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.discarded import discarded, has_lost
from scaletune.shells.kubernetes.seen.snapshot import read_study, read_trial
from scaletune.shells.kubernetes.server.client import JOB, SERVICE, STUDY, TRIAL
from scaletune.shells.kubernetes.server.reconciler import LookAgain
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell
from tests.shells.kubernetes import given
from tests.shells.kubernetes.fake import Cluster, Death, Died
from tests.shells.kubernetes.given import KEY

TURNS_MAX = 300
POLICIES = {
    "promote": {"asha": {"eta": 2, "min": 7, "mode": "Promote"}},
    "stop": {"asha": {"eta": 2, "min": 7, "mode": "Stop"}},
    "full": {},
    "pbt": {"pbt": {"population": 3, "interval": 14, "resample": 0}},
}
NODES = {"promote": 2, "stop": 1, "full": 1, "pbt": 1}


def _cluster(policy: str) -> Cluster:
    cluster = Cluster()
    raw = given.raw_study(policy=POLICIES[policy], budget={"trials": 3})
    raw["spec"]["template"]["nodes"] = NODES[policy]
    raw["metadata"] = {"name": "s", "namespace": "ml"}
    cluster.add(STUDY, raw)
    return cluster


async def _run(cluster: Cluster, every: int = 0) -> tuple[Study, list[Trial]]:
    """Run the study to its end; an operator that died is followed by one that knows nothing.

    With `every`, that one dies so many writes later, each in another way.
    """
    shell, deaths = Shell(cluster, Settings()), cycle(Death)
    for _ in range(TURNS_MAX):
        cluster.show(shell)
        cluster.land()
        try:
            await shell.reconcile(KEY)
        except LookAgain:
            continue
        except Died:
            cluster.is_dead = False
            if every:
                cluster.dies_at, cluster.death = cluster.writes + every, next(deaths)
            shell = Shell(cluster, Settings())
            continue
        [study] = map(read_study, cluster.all(STUDY))
        trials = sorted(map(read_trial, cluster.all(TRIAL)), key=lambda trial: trial.index)
        kept = [trial for trial in discarded(study, trials) if trial.status.checkpoint is not None]
        if is_true(study.status.conditions, FINISHED) and not kept and not cluster.all(JOB):
            await shell.stop()
            return study, trials
        cluster.tick()
    raise AssertionError(f"the study has not ended after {TURNS_MAX} turns")


def _story(study: Study, trials: list[Trial]) -> object:
    """All that must not depend on when the operator died."""
    records = [
        (trial.index, [record.model_copy(update={"device_seconds": 0.0}) for record in records])
        for trial in trials
        for records in [trial.status.milestones]
    ]
    lives = [
        (trial.status.state, trial.spec.until, [each.cause for each in trial.status.attempts])
        for trial in trials
    ]
    taken = [trial.status.exploits for trial in trials]
    return records, lives, taken, study.status.best, study.status.created, study.status.progress


@cache
def _undisturbed(policy: str) -> tuple[object, int]:
    cluster = _cluster(policy)
    story = _story(*asyncio.run(_run(cluster)))
    return story, cluster.writes


@pytest.mark.parametrize("policy", POLICIES)
def test_an_undisturbed_study_ends_with_nothing_left_running(policy: str) -> None:
    cluster = _cluster(policy)

    study, trials = asyncio.run(_run(cluster))

    assert len(trials) == 3
    assert study.status.best is not None
    assert study.status.running == 0
    assert cluster.all(JOB) == []
    assert len(cluster.all(SERVICE)) == 1
    # Of those that lost nothing is kept, and all of the others.
    lost = {trial.metadata.name for trial in trials if has_lost(trial)}
    assert cluster.cleaned == lost
    assert {trial.metadata.name for trial in trials if trial.status.checkpoint is None} == lost
    assert lost or policy != "promote"
    assert policy != "pbt" or any(trial.status.exploits for trial in trials)


@pytest.mark.parametrize("death", Death)
@pytest.mark.parametrize("policy", POLICIES)
def test_an_operator_that_dies_at_any_write_changes_nothing(policy: str, death: Death) -> None:
    story, writes = _undisturbed(policy)

    for dies_at in range(1, writes + 1):
        cluster = _cluster(policy)
        cluster.dies_at, cluster.death = dies_at, death
        again = _story(*asyncio.run(_run(cluster)))

        assert again == story, f"the operator died at write {dies_at} of {writes}"


@pytest.mark.parametrize("every", range(2, 8))
def test_operators_that_die_again_and_again_still_come_to_the_same_end(every: int) -> None:
    story, writes = _undisturbed("promote")
    cluster = _cluster("promote")
    cluster.dies_at = every

    assert _story(*asyncio.run(_run(cluster, every))) == story
    assert cluster.writes > writes
