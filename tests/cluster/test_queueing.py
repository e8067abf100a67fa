"""Trials that wait for GPUs, for quota, and for each other, on a real scheduler and kubelet.

The GPUs are numbers on a node, but pods queue for them as for real ones.
"""

import json
from typing import Any

import pytest

from scaletune.api.conditions import (
    CHECKPOINTS_READY,
    STARTED,
    TRIALS_STARTED,
    Condition,
    condition,
)
from scaletune.api.trial import Trial
from tests.cluster import gpus, mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.operators import Operator, wait_until

Json = dict[str, Any]

SLOW = [*studies.QUADRATIC, "--sleep", "2"]
QUICK = studies.QUADRATIC


def _study(namespace: str, name: str, gpus_of_a_pod: int, command: list[str], **spec: Any) -> Json:
    template = spec.pop("template", {})
    made = studies.study(namespace, name, command, **spec)
    made["spec"]["template"] |= template
    container = made["spec"]["template"]["pod"]["spec"]["containers"][0]
    container["resources"] = {"limits": {gpus.RESOURCE: gpus_of_a_pod}}
    return made


def _trials(cluster: Connection, namespace: str, name: str) -> list[Trial]:
    return studies.stored(cluster, namespace, name)[1]


def _started(trial: Trial) -> Condition | None:
    return condition(trial.status.conditions, STARTED)


def _waiting(cluster: Connection, namespace: str, name: str) -> list[Trial]:
    """The trials that something keeps from starting."""
    found = _trials(cluster, namespace, name)
    return [each for each in found if (told := _started(each)) and told.status == "False"]


def _summary(cluster: Connection, namespace: str, name: str, kind: str) -> Condition:
    told = condition(studies.stored(cluster, namespace, name)[0].status.conditions, kind)
    assert told is not None
    return told


def _causes(trial: Trial) -> list[str]:
    return [attempt.cause for attempt in trial.status.attempts]


@pytest.mark.slow
def test_trials_queue_for_gpus_and_what_asks_for_too_many_is_tried_again_and_again(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    with gpus.advertised(cluster, "n1", 8):
        budget = {"trials": 4}
        cluster.apply(_study(namespace, "queue", 4, SLOW, parallelism=4, budget=budget))
        large: Json = {"parallelism": 3, "budget": {"trials": 6}, "template": {"startSeconds": 8}}
        cluster.apply(_study(namespace, "large", 16, QUICK, **large))

        wait_until("two wait", lambda: len(_waiting(cluster, namespace, "queue")) == 2, 90)
        trials = _trials(cluster, namespace, "queue")
        assert [each.status.state for each in trials].count("Running") == 2
        for trial in _waiting(cluster, namespace, "queue"):
            told = _started(trial)
            assert told is not None
            assert told.reason == "Unschedulable"
            assert "Insufficient nvidia.com/gpu" in told.message
            assert trial.status.device_seconds == 0  # to wait costs nothing
        summary = _summary(cluster, namespace, "queue", TRIALS_STARTED)
        assert "2 of 4 trials that are to run have not started" in summary.message

        _, trials = studies.wait_for_end(cluster, namespace, "queue", seconds_max=180)
        assert [each.status.state for each in trials] == ["Completed"] * 4
        assert [_causes(each) for each in trials] == [["Done"]] * 4

        _assert_the_large_are_tried_again_across_restarts(cluster, namespace, operator)
        _assert_no_more_are_created_than_fail_alike(cluster, namespace)
        cluster.apply(_study(namespace, "large", 1, QUICK, **large))
        _, trials = studies.wait_for_end(cluster, namespace, "large", seconds_max=120)
    assert [each.status.state for each in trials].count("Completed") == 5
    assert all(trial.status.crashes == 0 for trial in trials)


def _assert_the_large_are_tried_again_across_restarts(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    def fewest() -> int:
        found = _trials(cluster, namespace, "large")
        return min(sum(cause == "StartTimeout" for cause in _causes(each)) for each in found)

    wait_until("all were tried", lambda: fewest() >= 1, 120)
    before = {each.index: _causes(each) for each in _trials(cluster, namespace, "large")}
    operator.kill()
    operator.start()
    wait_until("all were tried again", lambda: fewest() >= 2, 120)
    for trial in _trials(cluster, namespace, "large"):
        causes = _causes(trial)
        assert causes[: len(before[trial.index]) - 1] == before[trial.index][:-1]
        assert set(causes) <= {"StartTimeout", ""}
        assert (trial.status.crashes, trial.status.failure) == (0, None)
        assert trial.status.start_after is not None
        told = _started(trial)
        assert told is not None
        assert told.reason == "Unschedulable"
        assert "Insufficient nvidia.com/gpu" in told.message
        story = cluster.kubectl("describe", "trial", trial.metadata.name, "-n", namespace)
        assert "attempt 1: has not started within 8 s (template.startSeconds)" in story


def _assert_no_more_are_created_than_fail_alike(cluster: Connection, namespace: str) -> None:
    """A place becomes free, and nobody takes it."""
    stop = json.dumps({"spec": {"state": "Stopped"}})
    cluster.kubectl("patch", "trial", "large-0000", "-n", namespace, "--type=merge", "-p", stop)

    def is_stopped() -> bool:
        return _trials(cluster, namespace, "large")[0].status.state == "Stopped"

    wait_until("one is stopped", is_stopped, 60)
    wait_until(
        "it is told that no more are created",
        lambda: (
            "The first 3 trials all fail to start alike"
            in (_summary(cluster, namespace, "large", TRIALS_STARTED).message)
        ),
        60,
    )
    assert len(_trials(cluster, namespace, "large")) == 3


@pytest.mark.slow
def test_quota_and_claims_are_told_with_their_remedy(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    quota: Json = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"pods": "1"}},
    }
    alone = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "alone", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "",
            "volumeName": f"{namespace}-alone",
        },
    }
    cluster.apply(quota, alone)
    both: Json = {"parallelism": 2, "budget": {"trials": 2}}
    claimed = {name: {"persistentVolumeClaim": {"claimName": name}} for name in ("alone", "absent")}
    for name, claim in claimed.items():
        spec = {"checkpoints": claim, **both}
        cluster.apply(studies.study(namespace, name, **spec))
    cluster.apply(studies.study(namespace, "quota", [*QUICK, "--sleep", "60"], **both))

    wait_until("one waits", lambda: len(_waiting(cluster, namespace, "quota")) == 1, 120)
    [waiting] = _waiting(cluster, namespace, "quota")
    told = _started(waiting)
    assert told is not None
    assert told.reason == "QuotaExceeded"
    assert "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in told.message
    assert "raise the quota" in told.message
    for name, reason in (("alone", "ClaimNotShared"), ("absent", "ClaimMissing")):
        summary = _summary(cluster, namespace, name, CHECKPOINTS_READY)
        assert (summary.status, summary.reason) == ("False", reason)
        assert "ReadWriteMany" in summary.message
        assert _trials(cluster, namespace, name) == []

    # It goes on by itself, once there is quota, or no more pods at once than may mount the claim.
    cluster.apply({**quota, "spec": {"hard": {"pods": "9"}}})
    cluster.kubectl("scale", "study/alone", "-n", namespace, "--replicas=1")
    wait_until("alone may start", lambda: len(_trials(cluster, namespace, "alone")) == 1, 90)

    def run() -> list[str | None]:
        return [each.status.state for each in _trials(cluster, namespace, "quota")]

    wait_until("both run", lambda: run() == ["Running", "Running"], 120)
    trials = _trials(cluster, namespace, "quota")
    assert [(_causes(each), each.status.crashes) for each in trials] == [([""], 0), ([""], 0)]
    assert _waiting(cluster, namespace, "quota") == []


@pytest.mark.slow
def test_of_two_gangs_that_block_each_other_the_younger_gives_way(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    """Each holds half of the GPUs and needs all: the first by coming first, the second because the
    scheduler prefers it when the other half becomes free."""
    preferred = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": namespace},
        "value": 1000,
        "preemptionPolicy": "Never",
    }
    older, younger = _gang(namespace, "older"), _gang(namespace, "younger")
    younger["spec"]["template"]["pod"]["spec"]["priorityClassName"] = namespace
    with gpus.advertised(cluster, "n1", 8):
        cluster.apply(preferred, _blocker(namespace))
        cluster.kubectl("wait", "-n", namespace, "pod/blocker", "--for=condition=Ready")
        cluster.apply(older)
        wait_until(
            "half of the older has GPUs", lambda: _placed(cluster, namespace, "older") == 1, 60
        )
        cluster.apply(younger)
        # By then the scheduler does not hold it back any more for having failed a moment ago.
        wait_until("the younger waits", lambda: _waiting(cluster, namespace, "younger"), 60)
        cluster.kubectl("delete", "pod", "blocker", "-n", namespace, "--grace-period=0", "--force")
        wait_until(
            "so has half of the younger", lambda: _placed(cluster, namespace, "younger") == 1, 60
        )

        def states() -> list[str | None]:
            found = cluster.get("trials", "-n", namespace)["items"]
            return [each["status"].get("state") for each in found]

        wait_until("the older runs", lambda: states() == ["Running", "Pending"], 120)
        [second] = _trials(cluster, namespace, "younger")
        assert _causes(second)[0] == "Blocked"
        assert "and so does" in cluster.kubectl("describe", "trials", "-n", namespace)
        # The younger has its turn, once there is room.
        cluster.kubectl("delete", "study", "older", "-n", namespace, "--wait=false")
        wait_until("the younger runs", lambda: states()[-1] == "Running", 120)
    [second] = _trials(cluster, namespace, "younger")
    assert (_causes(second)[-1], second.status.crashes) == ("", 0)
    cluster.kubectl("delete", "priorityclass", namespace)


def _gang(namespace: str, name: str) -> Json:
    """A trial of two pods with half of the GPUs each, which leave at once when told to."""
    template, budget = {"nodes": 2}, {"trials": 1}
    made = _study(namespace, name, 4, SLOW, template=template, budget=budget)
    made["spec"]["checkpoints"] = studies.claim()
    environment = made["spec"]["template"]["pod"]["spec"]["containers"][0]["env"]
    environment[:] = [each for each in environment if each["name"] not in studies.PLAIN]
    made["spec"]["template"]["pod"]["spec"]["terminationGracePeriodSeconds"] = 1
    return made


def _blocker(namespace: str) -> Json:
    spec = mounts.pod_spec(["sleep", "600"])
    spec["containers"][0]["resources"] = {"limits": {gpus.RESOURCE: 4}}
    metadata = {"name": "blocker", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _placed(cluster: Connection, namespace: str, study: str) -> int:
    """How many pods of a study have a node."""
    found = cluster.get("pods", "-n", namespace, "-l", f"scaletune.dev/study={study}")["items"]
    return sum("nodeName" in pod["spec"] for pod in found)
