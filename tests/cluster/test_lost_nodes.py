"""Nodes that are lost while trials run on them: nothing reported is lost, nothing runs twice.

The folder of the checkpoints is reached from every node, whatever becomes of the network, so that a
pod on a node that is cut off goes on writing, as on a network file system.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.conditions import HEALTHY, STARTED, Condition, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune_trainer import wire
from tests.cluster import audit, journals, mounts, network, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.node import Node
from tests.cluster.operators import ACCOUNT, Operator, wait_until
from tests.cluster.standing import Standing

Json = dict[str, Any]
SECONDS = 180
STEADY_SECONDS = 30
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
LOST_AT_ONCE = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "tolerationSeconds": 2}
    | {"effect": "NoExecute"}
    for key in ("unreachable", "not-ready")
]


@pytest.fixture
def operator(
    two_nodes: Connection,
    standing: Standing,
    crds: list[str],
    namespace: str,
    checkpoints: Mount,
    tmp_path: Path,
) -> Iterator[Operator]:
    if standing.is_given:
        pytest.skip("only nodes of our own are cut off")
    two_nodes.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    two_nodes.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(two_nodes, namespace, tmp_path) as running:
        yield running


@contextmanager
def _cut_off(node: Node) -> Iterator[None]:
    """Pull the node's cable; what runs on it runs on."""
    switch = network.namespace_name(node.site.number, "switch")
    network.run("ip", "-n", switch, "link", "set", node.name, "down")
    try:
        yield
    finally:
        network.run("ip", "-n", switch, "link", "set", node.name, "up")
        admin = node.control_plane.admin
        admin.kubectl("wait", f"node/{node.name}", "--for=condition=Ready", "--timeout=120s")


def _study(namespace: str, name: str, node: Node, *options: str, steps: int) -> Json:
    """A study of one trial, which begins on a node, and would take another."""
    made = studies.study(
        namespace,
        name,
        [*studies.QUADRATIC, "--every-step", *options],
        budget={"trials": 1},
        checkpoints=studies.claim(),
        training={"unit": "Step", "max": steps},
    )
    pod = made["spec"]["template"]["pod"]["spec"]
    is_there = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    wish = {"weight": 100, "preference": {"matchExpressions": [is_there]}}
    pod["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    pod["tolerations"] = LOST_AT_ONCE
    return made


def _stored(cluster: Connection, namespace: str, name: str) -> tuple[Study, Trial]:
    study, [trial] = studies.stored(cluster, namespace, name)
    return study, trial


def _health(cluster: Connection, namespace: str, name: str) -> Condition | None:
    return condition(_stored(cluster, namespace, name)[1].status.conditions, HEALTHY)


def _is_told(cluster: Connection, namespace: str, name: str) -> bool:
    found = _health(cluster, namespace, name)
    return found is not None and found.reason == "NodeLost"


def _is_given_up(cluster: Connection, namespace: str, name: str, checkpoints: Mount) -> bool:
    """Whether a second attempt trains."""
    study, trial = _stored(cluster, namespace, name)
    is_second = len(trial.status.attempts) == 2
    return is_second and len(journals.steps(journals.of_attempt(checkpoints, study, trial, 2))) > 9


def _trains(cluster: Connection, namespace: str, name: str, checkpoints: Mount) -> bool:
    study, trials = studies.stored(cluster, namespace, name)
    if not trials or trials[0].status.state != "Running":
        return False
    return len(journals.steps(journals.of_attempt(checkpoints, study, trials[0], 1))) > 3


@contextmanager
def _out_of_service(cluster: Connection, node: Node) -> Iterator[None]:
    """Say that a node is off for good."""
    cluster.kubectl("taint", "node", node.name, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute")
    try:
        yield
    finally:
        cluster.kubectl("taint", "node", node.name, f"{OUT_OF_SERVICE}-")


@pytest.mark.slow
def test_a_node_that_is_cut_off_holds_its_trials_back_until_somebody_says_that_it_is_gone(
    two_nodes: Connection,
    standing: Standing,
    namespace: str,
    checkpoints: Mount,
    operator: Operator,
) -> None:
    node = standing.own().nodes[1]
    two_nodes.apply(
        _study(namespace, "done", node, "--sleep=0.3", steps=40),
        _study(namespace, "long", node, "--sleep=0.5", steps=900),
    )
    for name in ("done", "long"):
        trains = partial(_trains, two_nodes, namespace, name, checkpoints)
        wait_until(f"{name} trains", trains, SECONDS)
    pods = {
        pod["metadata"]["labels"]["scaletune.dev/study"]: pod
        for pod in two_nodes.get("pods", "-n", namespace)["items"]
    }
    assert {pod["spec"]["nodeName"] for pod in pods.values()} == {node.name}

    with _cut_off(node):
        _assert_people_are_told(two_nodes, namespace, pods)
        _assert_it_writes_little(two_nodes, namespace, set(pods))
        study, trial = _stored(two_nodes, namespace, "done")
        wait_until(
            "the pod that nobody reaches has trained in full",
            lambda: isinstance(
                journals.of_attempt(checkpoints, study, trial, 1)[-1], wire.EndEntry
            ),
            SECONDS,
        )
        # One is given up for lost by its pod, the other by its node.
        name = pods["done"]["metadata"]["name"]
        two_nodes.kubectl("delete", "pod", name, "-n", namespace, "--force", "--wait=false")
        study, [trial] = studies.wait_for_end(two_nodes, namespace, "done", SECONDS)
        _assert_it_was_only_told(checkpoints, study, trial)
        with _out_of_service(two_nodes, node):
            goes_on = partial(_is_given_up, two_nodes, namespace, "long", checkpoints)
            wait_until("the other goes on elsewhere", goes_on, SECONDS)
            _assert_both_write(two_nodes, namespace, checkpoints)

    stopped = json.dumps({"spec": {"state": "Stopped"}})
    two_nodes.kubectl("patch", "study", "long", "-n", namespace, "--type=merge", "-p", stopped)
    study, [trial] = studies.wait_for_end(two_nodes, namespace, "long", SECONDS)
    assert trial.status.crashes == 0
    assert [each.cause for each in trial.status.attempts] == ["Disrupted", "Stopped"]
    found = condition(trial.status.conditions, HEALTHY)
    assert found is not None
    assert (found.status, found.reason) == ("True", "Recovered")
    assert operator.complaints() == []


def _assert_people_are_told(cluster: Connection, namespace: str, pods: dict[str, Json]) -> None:
    """What is waited for, and how to end the waiting; nothing is started beside a pod that may
    still be alive."""
    for study, pod in pods.items():
        is_told = partial(_is_told, cluster, namespace, study)
        wait_until(f"people are told of {study}", is_told, SECONDS)
        health = _health(cluster, namespace, study)
        assert health is not None
        remedy = f"kubectl delete pod -n {namespace} {pod['metadata']['name']} --force"
        assert remedy in health.message
        assert remedy in cluster.kubectl("describe", "trial", f"{study}-0000", "-n", namespace)
        assert len(_stored(cluster, namespace, study)[1].status.attempts) == 1


def _assert_it_writes_little(cluster: Connection, namespace: str, names: set[str]) -> None:
    """While nobody does anything: at most one write in ten seconds for each study."""
    begin = len(list(audit.requests(cluster, namespace, ACCOUNT)))
    time.sleep(STEADY_SECONDS)
    requests = list(audit.requests(cluster, namespace, ACCOUNT))[begin:]
    writes = [each.name.split("-")[0] for each in requests if each.is_write]
    assert all(writes.count(name) <= STEADY_SECONDS / 10 for name in names), writes


def _assert_it_was_only_told(checkpoints: Mount, study: Study, trial: Trial) -> None:
    """What had been trained where nobody saw it was stored, and not trained again."""
    assert (trial.status.state, trial.status.crashes) == ("Completed", 0)
    assert [each.cause for each in trial.status.attempts] == ["Disrupted", "Done"]
    first, second = (journals.of_attempt(checkpoints, study, trial, number) for number in (1, 2))
    assert (journals.steps(first), journals.steps(second)) == (list(range(1, 41)), [])
    [record] = trial.status.milestones
    last = next(e for e in reversed(first) if isinstance(e, wire.ReportEntry))
    assert record.value == pytest.approx(last.values["loss"])
    assert trial.status.checkpoint is not None
    assert trial.status.checkpoint.incarnation == trial.status.attempts[0].incarnation


def _assert_both_write(cluster: Connection, namespace: str, checkpoints: Mount) -> None:
    """The pod that was given up goes on, into its own journal, and nobody listens."""
    study, trial = _stored(cluster, namespace, "long")
    written = len(journals.of_attempt(checkpoints, study, trial, 1))
    wait_until(
        "the first pod goes on",
        lambda: len(journals.of_attempt(checkpoints, study, trial, 1)) > written,
        SECONDS,
    )
    told = [
        e
        for e in journals.of_attempt(checkpoints, study, trial, 2)
        if isinstance(e, wire.ReplayedEntry)
    ]
    assert {each.incarnation for each in told} == {trial.status.attempts[0].incarnation}


@pytest.mark.slow
def test_a_kubelet_and_a_containerd_that_are_killed_and_come_back_disturb_no_trial(
    two_nodes: Connection,
    standing: Standing,
    namespace: str,
    checkpoints: Mount,
    operator: Operator,
) -> None:
    node = standing.own().nodes[0]
    two_nodes.apply(_study(namespace, "calm", node, "--sleep=0.3", steps=80))

    def trained() -> int:
        found = studies.stored(two_nodes, namespace, "calm")[1]
        if not found or found[0].status.state != "Running":
            return 0
        return len(
            journals.steps(
                journals.of_attempt(checkpoints, *_stored(two_nodes, namespace, "calm"), 1)
            )
        )

    wait_until("it trains", lambda: trained() > 3, SECONDS)
    node.kill("kubelet")
    node.kill("containerd")
    before = trained()
    wait_until("it trains on", lambda: trained() > before + 5, SECONDS)
    node.revive()

    study, [trial] = studies.wait_for_end(two_nodes, namespace, "calm", SECONDS)
    assert [each.cause for each in trial.status.attempts] == ["Done"]
    assert journals.steps(journals.of_attempt(checkpoints, study, trial, 1)) == list(range(1, 81))
    assert condition(trial.status.conditions, HEALTHY) is None
    assert operator.complaints() == []


@contextmanager
def _without_kubelet(node: Node) -> Iterator[None]:
    """The kubelet is dead, and comes back as on a machine that was set up anew."""
    node.kill("kubelet")
    try:
        yield
    finally:
        node.revive()


@pytest.mark.slow
def test_a_kubelet_that_never_comes_back_holds_no_trial_once_its_node_is_given_up(
    two_nodes: Connection,
    standing: Standing,
    namespace: str,
    checkpoints: Mount,
    operator: Operator,
) -> None:
    node = standing.own().nodes[1]
    # Nothing of this may count as a crash.
    known = _study(namespace, "known", node, "--sleep=0.4", steps=60)
    known["spec"]["template"]["retries"] = 0
    two_nodes.apply(known)
    wait_until("it trains", partial(_trains, two_nodes, namespace, "known", checkpoints), SECONDS)

    with _without_kubelet(node):
        # The scheduler still believes in the node.
        two_nodes.apply(_study(namespace, "unborn", node, steps=3))
        wait_until("it is told of", lambda: _is_silent(two_nodes, namespace, "unborn"), SECONDS)
        wait_until("it is told of", partial(_is_told, two_nodes, namespace, "known"), SECONDS)
        found = _started(two_nodes, namespace, "unborn")
        assert found is not None
        assert f"node {node.name} has not started pod" in found.message
        assert "--force" in two_nodes.kubectl("describe", "study", "unborn", "-n", namespace)

        two_nodes.kubectl("delete", "node", node.name)
        for name in ("known", "unborn"):
            _, [trial] = studies.wait_for_end(two_nodes, namespace, name, SECONDS)
            assert (trial.status.state, trial.status.crashes) == ("Completed", 0), name
            assert [each.cause for each in trial.status.attempts] == ["Disrupted", "Done"], name
    assert operator.complaints() == []


def _started(cluster: Connection, namespace: str, name: str) -> Condition | None:
    trials = studies.stored(cluster, namespace, name)[1]
    return condition(trials[0].status.conditions, STARTED) if trials else None


def _is_silent(cluster: Connection, namespace: str, name: str) -> bool:
    found = _started(cluster, namespace, name)
    return found is not None and found.reason == "NodeSilent"


@contextmanager
def _only(cluster: Connection, node: Node, others: list[Node]) -> Iterator[None]:
    """As if there were no other node."""
    for other in others:
        cluster.kubectl("cordon", other.name)
    try:
        yield
    finally:
        for other in others:
            cluster.kubectl("uncordon", other.name)


@pytest.mark.slow
def test_when_no_node_is_left_people_are_told_and_all_goes_on_once_one_is_back(
    two_nodes: Connection,
    standing: Standing,
    namespace: str,
    checkpoints: Mount,
    operator: Operator,
) -> None:
    *others, node = standing.own().nodes
    with _only(two_nodes, node, others):
        made = _study(namespace, "alone", node, "--sleep=0.3", steps=80)
        # What is lost with the node may not count as a crash.
        made["spec"]["template"]["retries"] = 0
        two_nodes.apply(made)
        trains = partial(_trains, two_nodes, namespace, "alone", checkpoints)
        wait_until("it trains", trains, SECONDS)
        [pod] = two_nodes.get("pods", "-n", namespace)["items"]

        with _cut_off(node):
            is_told = partial(_is_told, two_nodes, namespace, "alone")
            wait_until("people are told of the node", is_told, SECONDS)
            name = pod["metadata"]["name"]
            two_nodes.kubectl("delete", "pod", name, "-n", namespace, "--force", "--wait=false")
            waits = partial(_is_unschedulable, two_nodes, namespace, "alone")
            wait_until("people are told that there is no other", waits, SECONDS)
            story = " ".join(
                two_nodes.kubectl("describe", "study", "alone", "-n", namespace).split()
            )
            assert "nodes are available" in story
            _assert_it_writes_little(two_nodes, namespace, {"alone"})

        _, [trial] = studies.wait_for_end(two_nodes, namespace, "alone", SECONDS)
    assert (trial.status.state, trial.status.crashes) == ("Completed", 0)
    # A node that has just come back may be called unready once more.
    *before, last = [each.cause for each in trial.status.attempts]
    assert (set(before), last) == ({"Disrupted"}, "Done")
    assert operator.complaints() == []


def _is_unschedulable(cluster: Connection, namespace: str, name: str) -> bool:
    found = _started(cluster, namespace, name)
    return found is not None and (found.status, found.reason) == ("False", "Unschedulable")
