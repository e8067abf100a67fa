"""What the books make of pods that are taken away: suspended, drained, deleted, or out of reach."""

import json
from typing import Any

import pytest

from scaletune.api.conditions import HEALTHY, condition
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.hindrances import requeues
from scaletune.shells.kubernetes.turn.books import entered
from scaletune_trainer import wire
from scaletune_trainer.wire import Reason, TerminationMessage
from tests.shells.kubernetes.given import (
    NOW,
    attempt,
    ended,
    raw_job,
    raw_pod,
    raw_trial,
    snapshot,
)

Json = dict[str, Any]

LEFT = ended(TerminationMessage(Reason.TERMINATED, step=4), 143, "Error")
LOST_NODE: Json = {
    "conditions": [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2025-11-24T15:59:00Z"},
        {"type": "ContainersReady", "status": "True"},
        {"type": "Ready", "status": "False"},
    ]
}


def _entered(trial: Json, *pods: Json, job: Json | None = None, **template: Any) -> Trial:
    """The Trial after what its pods say was entered; as it was when nothing is to be stored."""
    jobs = () if job is None else (job,)
    taken = snapshot(trials=[trial], jobs=jobs, pods=pods, template=template)
    return next(iter(entered(taken, {}, NOW)), taken.trials[0])


def _running(**more: Any) -> Json:
    return raw_trial(0, state="Running", attempts=[attempt(incarnation="life", **more)])


def _suspended() -> Json:
    job = raw_job()
    job["spec"]["suspend"] = True
    return job


def _deleted(pod: Json, grace: int) -> Json:
    pod["metadata"] |= {
        "deletionTimestamp": "2025-11-24T16:00:00Z",
        "deletionGracePeriodSeconds": grace,
    }
    return pod


@pytest.mark.parametrize("code", [143, 137], ids=["left", "killed"])
def test_a_suspended_job_is_the_same_attempt_without_pods(code: int) -> None:
    state = LEFT if code == 143 else ended("", 137, "Error")

    trial = _entered(_running(), raw_pod(uid="life", state=state), job=_suspended())

    assert (trial.status.state, trial.status.crashes) == ("Pending", 0)
    assert [each.cause for each in trial.status.attempts] == [""]


def test_what_a_suspended_trial_did_wrong_before_is_told_all_the_same() -> None:
    state = ended(TerminationMessage(Reason.USER_ERROR, step=0, error="ImportError"), 43, "Error")

    trial = _entered(_running(), raw_pod(uid="life", state=state), job=_suspended())

    assert trial.status.failure is not None
    assert trial.status.failure.kind == "UserError"


def test_the_pod_before_the_suspension_is_not_judged_once_its_job_is_resumed() -> None:
    waits = raw_trial(0, state="Pending", attempts=[attempt(incarnation="life")])
    leaving = _deleted(raw_pod(uid="life", state=LEFT), grace=30)

    trial = _entered(waits, leaving, job=raw_job())

    assert [each.cause for each in trial.status.attempts] == [""]


def test_the_pod_after_the_suspension_is_another_life_whose_cost_is_added() -> None:
    spent = _running(deviceSeconds=100.0)
    spent["status"]["deviceSeconds"] = 100.0

    trial = _entered(spent, raw_pod(uid="later"), job=raw_job())

    own = trial.status.attempts[-1]
    assert own.incarnation == "later"
    assert own.device_seconds == trial.status.device_seconds > 100.0


def test_a_pod_costs_what_it_was_made_for_whatever_the_template_says_now() -> None:
    pod = raw_pod(uid="life")
    told = {"name": wire.Variable.TRIAL, "value": json.dumps({"processes": 8})}
    pod["spec"]["containers"][0]["env"] = [told]

    before = _entered(_running(), raw_pod(uid="life"), job=raw_job(), processesPerNode=2)
    trial = _entered(_running(), pod, job=raw_job(), processesPerNode=2)

    assert trial.status.device_seconds == before.status.device_seconds * 4


def test_a_disruption_is_remembered_when_the_pod_is_gone_before_its_end_was_seen() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    conditions = [*raw_pod()["status"]["conditions"], target]
    seen = _entered(_running(), raw_pod(uid="life", conditions=conditions), job=raw_job())
    again = raw_trial(0, **seen.status.to_yaml_fields())

    trial = _entered(again, job=raw_job(Failed="True"))

    assert (trial.status.attempts[-1].cause, trial.status.crashes) == ("Disrupted", 0)


def test_a_pod_out_of_reach_is_waited_for_and_people_are_told_what_to_do() -> None:
    pod = raw_pod(uid="life", **LOST_NODE)
    pod["spec"]["nodeName"] = "n2"

    trial = _entered(_running(), _deleted(pod, grace=120), job=raw_job())

    found = condition(trial.status.conditions, HEALTHY)
    assert found is not None
    assert (found.status, found.reason) == ("False", "NodeLost")
    for words in ("node n2", "--force", "out-of-service", "waits until that pod is gone"):
        assert words in found.message
    assert [each.cause for each in trial.status.attempts] == [""]
    # Nothing more is written while nothing changes.
    again = raw_trial(0, **trial.status.to_yaml_fields())
    assert _entered(again, pod, job=raw_job()).status.conditions == trial.status.conditions
    # It is over when the node answers again.
    back = _entered(again, raw_pod(uid="life"), job=raw_job())
    found = condition(back.status.conditions, HEALTHY)
    assert found is not None
    assert (found.status, found.reason) == ("True", "Recovered")


def test_a_pod_that_was_deleted_by_force_is_gone_though_it_still_stands_there() -> None:
    trial = _entered(_running(), _deleted(raw_pod(uid="life"), grace=0), job=raw_job())

    assert (trial.status.attempts[-1].cause, trial.status.crashes) == ("Disrupted", 0)
    assert trial.status.attempts[-1].unheard_after == 0


def test_who_is_interrupted_again_and_again_is_tried_again_ever_later() -> None:
    delays = []
    for number in (1, 2, 3, 4):
        past = [attempt(n, f"life-{n}", cause="Disrupted") for n in range(1, number)]
        waits = raw_trial(0, state="Running", attempts=[*past, attempt(number, "life")])
        pod = raw_pod(number=number, uid="life", state=LEFT)
        trial = _entered(waits, pod, job=raw_job(number=number))
        begins = requeues.begins_at(trial, "")
        delays.append(round(begins - NOW) if begins else 0)

    assert delays == [times * requeues.BACKOFF_SECONDS for times in (0, 1, 2, 4)]


def test_a_newer_checkpoint_ends_the_row() -> None:
    waits = raw_trial(
        0,
        state="Running",
        attempts=[attempt(1, "old", cause="Crashed"), attempt(2, "life")],
        checkpoint={"incarnation": "life", "step": 3},
    )
    trial = _entered(waits, raw_pod(number=2, uid="life", state=LEFT), job=raw_job(number=2))

    assert requeues.begins_at(trial, "") == 0.0
