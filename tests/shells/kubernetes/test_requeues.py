"""Attempts that do not start are taken back and tried again later, across any restart."""

import asyncio
from typing import Any

import pytest

from scaletune.api.conditions import STARTED, TRIALS_STARTED, condition, is_true
from scaletune.api.trial import Trial
from scaletune.core.budget import instant
from scaletune.shells.kubernetes.hindrances import requeues
from scaletune.shells.kubernetes.hindrances.findings import Findings, conditions, failing_alike
from scaletune.shells.kubernetes.hindrances.requeues import (
    BLOCKED,
    CANNOT_START,
    START_TIMEOUT,
    TEMPLATE_CHANGED,
)
from scaletune.shells.kubernetes.hindrances.starting import Obstacle
from scaletune.shells.kubernetes.seen.snapshot import read_trial
from scaletune.shells.kubernetes.seen.views import read_job
from scaletune.shells.kubernetes.server.client import JOB, POD, STUDY, TRIAL
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell
from scaletune.shells.kubernetes.turn.books import entered
from scaletune.shells.kubernetes.workload import template_hash
from tests.shells.kubernetes import given
from tests.shells.kubernetes.fake import Cluster
from tests.shells.kubernetes.given import attempt, raw_job

Json = dict[str, Any]

HASH = template_hash(given.study())
BEGUN = "2025-11-24T15:59:00Z"
START = instant(BEGUN)


def _waits(index: int = 0, **more: Any) -> Trial:
    return given.trial(index, attempts=[attempt(templateHash=HASH, startedAt=BEGUN, **more)])


def _withdrawal(seconds: float, trial: Trial | None = None, **job: Any) -> str | None:
    raw = raw_job()
    raw["spec"] |= job
    now = START + seconds
    return requeues.withdrawal(given.study(), trial or _waits(), read_job(raw), HASH, now)


def test_an_attempt_may_take_its_time_to_start_and_no_longer() -> None:
    assert _withdrawal(1799) is None
    assert _withdrawal(1800) == START_TIMEOUT


def test_the_time_that_a_queue_takes_does_not_count() -> None:
    assert _withdrawal(9999, suspend=True) is None


def test_an_attempt_by_another_template_is_taken_back_at_once() -> None:
    trial = given.trial(attempts=[attempt(templateHash="older", startedAt=BEGUN)])

    assert _withdrawal(1, trial) == TEMPLATE_CHANGED


def test_what_does_not_show_in_the_job_is_no_other_template() -> None:
    pod = given.study().spec.template.pod

    assert template_hash(given.study(template={"pod": pod, "startSeconds": 5})) == HASH
    assert template_hash(given.study(template={"pod": pod, "retries": 5})) == HASH
    assert template_hash(given.study(template={"pod": pod, "nodes": 5})) != HASH


def test_each_try_waits_longer_than_the_one_before_and_a_new_template_not_at_all() -> None:
    trial, waits = _waits(), []
    for number in range(1, 9):
        tries = [attempt(each, cause=CANNOT_START, templateHash=HASH) for each in range(number)]
        trial = requeues.postponed(given.trial(attempts=tries), 1, given.NOW)
        waits.append(requeues.begins_at(trial, HASH) - given.NOW)

    assert waits == [15, 50, 60, 120, 240, 300, 300, 300]
    assert requeues.begins_at(trial, "another") == 0


@pytest.mark.parametrize(("number", "seconds"), [(1, 15), (2, 1000), (8, 1000)])
def test_many_trials_that_cannot_run_wait_longer_than_one(number: int, seconds: int) -> None:
    tries = [attempt(each, cause=CANNOT_START) for each in range(number)]

    trial = requeues.postponed(given.trial(attempts=tries), 20, given.NOW)

    assert requeues.begins_at(trial, "") - given.NOW == seconds


def test_an_attempt_that_ran_ends_the_waiting() -> None:
    tries = [attempt(1, cause=BLOCKED), attempt(2, cause="Terminated")]

    assert requeues.postponed(given.trial(attempts=tries), 1, given.NOW).status.start_after is None


def test_of_two_gangs_the_one_that_began_last_is_the_youngest() -> None:
    later = given.trial(attempts=[attempt(startedAt="2025-11-24T15:59:01Z")])

    assert requeues.youngest([later, _waits(1)]) == later
    assert requeues.youngest([_waits(0), _waits(1)]).index == 1


def test_an_attempt_that_is_taken_back_is_over_once_its_pods_are_gone() -> None:
    raw = given.raw_trial(attempts=[attempt(withdrawal=START_TIMEOUT)], crashes=2)

    assert entered(given.snapshot(trials=[raw], jobs=(raw_job(),)), {}, given.NOW) == []
    [trial] = entered(given.snapshot(trials=[raw]), {}, given.NOW)

    assert (trial.status.attempts[-1].cause, trial.status.crashes) == (START_TIMEOUT, 2)
    assert requeues.begins_at(trial, "") == given.NOW + 15


def _hindered(index: int, reason: str) -> Trial:
    return requeues.hindered(_waits(index), Obstacle(reason, "no such host"), given.NOW)


def test_no_more_trials_are_created_when_the_first_all_fail_to_start_alike() -> None:
    study = given.study()
    alike = {index: _hindered(index, "ImageNotPulled") for index in range(3)}
    started = requeues.unhindered(alike[1], given.NOW)

    assert failing_alike(study, alike) is not None
    assert failing_alike(study, {0: alike[0], 1: alike[1]}) is None
    assert failing_alike(study, alike | {1: _hindered(1, "Unschedulable")}) is None
    assert failing_alike(study, alike | {1: started}) is None
    # Another template is worth a try.
    nodes = given.study(template={"pod": study.spec.template.pod, "nodes": 2})
    assert failing_alike(nodes, alike) is None


def test_a_study_counts_its_trials_that_do_not_start_by_what_is_in_their_way() -> None:
    trials = [*(_hindered(index, "Unschedulable") for index in range(2)), _waits(2)]
    trials.append(_hindered(3, "ImageNotPulled"))

    told = list(conditions(given.study(), trials, Findings(held="None is created"), given.NOW))
    [summary] = [each for each in told if each.type == TRIALS_STARTED]

    assert (summary.status, summary.reason) == ("False", "Unschedulable")
    assert summary.message == (
        "None is created. 3 of 4 trials that are to run have not started:"
        " 2 Unschedulable (such as s-0000: no such host);"
        " 1 ImageNotPulled (such as s-0003: no such host)"
    )


async def _turns(cluster: Cluster, number: int) -> Trial:
    """So many looks of operators that each know nothing of the one before."""
    for _ in range(number):
        shell = Shell(cluster, Settings())
        cluster.show(shell)
        await shell.reconcile(given.KEY)
        await shell.stop()
    [trial] = map(read_trial, cluster.all(TRIAL))
    return trial


def test_a_pod_that_never_finds_a_node_is_given_back_and_asked_for_again() -> None:
    cluster = Cluster()
    pod = given.study().spec.template.pod
    raw = given.raw_study(budget={"trials": 1}, template={"pod": pod, "startSeconds": 600})
    cluster.add(STUDY, {**raw, "metadata": {"name": "s", "namespace": "ml"}})

    trial = asyncio.run(_turns(cluster, 2))
    assert requeues.is_waiting(trial)
    # Time passes: the attempt began long ago.
    [found] = [each for (kind, _), each in cluster.objects.items() if kind == TRIAL.name]
    found["status"]["attempts"][-1]["startedAt"] = BEGUN
    [job] = [each for (kind, _), each in cluster.objects.items() if kind == JOB.name]
    job["metadata"]["creationTimestamp"] = BEGUN

    trial = asyncio.run(_turns(cluster, 1))
    assert trial.status.attempts[-1].withdrawal == START_TIMEOUT
    assert not is_true(trial.status.conditions, STARTED)
    trial = asyncio.run(_turns(cluster, 3))
    assert (cluster.all(JOB), cluster.all(POD)) == ([], [])
    assert [each.cause for each in trial.status.attempts] == [START_TIMEOUT]
    assert trial.status.start_after is not None
    found["status"]["startAfter"] = BEGUN
    trial = asyncio.run(_turns(cluster, 1))
    assert [each.cause for each in trial.status.attempts] == [START_TIMEOUT, ""]
    told = condition(trial.status.conditions, STARTED)
    assert told is not None
    assert "template.startSeconds" in told.message
