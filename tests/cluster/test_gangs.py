"""A trial of two pods on two nodes: real torchrun over gloo, a sharded model, and a pod that dies.

The script itself asserts that it goes on where the checkpoint left it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import INDEX_ANNOTATION, TRIAL_LABEL
from scaletune.shells.kubernetes.workload import VOLUME_PATH
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until

STEPS = 60  # so many that a training outlasts what is done to it, on a slow machine too
KILL_THE_WORKERS = "import psutil; [p.kill() for p in psutil.Process(1).children(recursive=True)]"


@pytest.fixture
def operator(
    two_nodes: Connection, crds: list[str], namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    folders = [checkpoints, mounts.SCRIPTS, *mounts.PYTHON]
    two_nodes.apply(*mounts.claims(namespace, folders))
    bound = "--for=jsonpath={.status.phase}=Bound"
    two_nodes.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(two_nodes, namespace, tmp_path) as running:
        yield running


def _study(namespace: str, nodes: int, **spec: Any) -> dict[str, Any]:
    """A study whose pods never share a node."""
    losses = f"{VOLUME_PATH}/losses-$(params.x)"
    made = studies.study(
        namespace,
        "gang",
        ["python3", f"{mounts.SCRIPTS.path}/sharded.py", losses, "--sleep", "0.4"],
        environment={"OMP_NUM_THREADS": "1"},
        checkpoints=studies.claim(),
        **spec,
    )
    template = made["spec"]["template"]
    template["nodes"] = nodes
    pod = template["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    apart = {
        "labelSelector": {"matchLabels": {"scaletune.dev/study": "gang"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}
    pod["affinity"] = {"podAntiAffinity": required}
    return made


def _promoted(cluster: Connection, namespace: str) -> Trial | None:
    """The trial that trains on beyond its first rung, once it has made a step of it."""
    for trial in studies.stored(cluster, namespace, "gang")[1]:
        checkpoint = trial.status.checkpoint
        if len(trial.status.attempts) == 2 and checkpoint is not None and checkpoint.step > 6:
            return trial
    return None


def _pods(cluster: Connection, namespace: str, trial: str) -> dict[int, dict[str, Any]]:
    """The pods of a trial that run, by their index."""
    found = cluster.get("pods", "-n", namespace, "-l", f"{TRIAL_LABEL}={trial}")["items"]
    return {
        int(pod["metadata"]["annotations"][INDEX_ANNOTATION]): pod
        for pod in found
        if pod["status"]["phase"] == "Running"
    }


def test_a_gang_on_two_nodes_is_promoted_and_goes_on_in_fewer_processes_when_a_pod_dies(
    two_nodes: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    made = _study(
        namespace,
        nodes=2,
        initial=[{"x": 0.25}, {"x": 0.75}],
        training={"unit": "Step", "max": STEPS},
        # One rung at 6, and from there a long way to the end.
        policy={"asha": {"eta": 10, "min": 6, "mode": "Promote"}},
        budget={"trials": 2},
    )
    two_nodes.apply(made)
    wait_until(
        "one is promoted", lambda: _promoted(two_nodes, namespace) is not None, seconds_max=150
    )
    best = _promoted(two_nodes, namespace)
    assert best is not None
    name = best.metadata.name
    pods = _pods(two_nodes, namespace, name)
    assert set(pods) == {0, 1}
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 2
    assert best.status.attempts[-1].incarnation == pods[0]["metadata"]["uid"]

    # Half the processes from now on, and the end of the other half.
    _patch(two_nodes, namespace, {"template": {"nodes": 1}})
    victim = pods[1]["metadata"]["name"]
    two_nodes.kubectl("exec", "-n", namespace, victim, "--", "python3", "-c", KILL_THE_WORKERS)
    _, trials = studies.wait_for_end(two_nodes, namespace, "gang", seconds_max=120)

    assert {trial.status.state for trial in trials} == {"Stopped", "Completed"}
    best = next(trial for trial in trials if trial.metadata.name == name)
    assert [each.cause for each in best.status.attempts] == ["Paused", "Crashed", "Done"]
    assert [each.at for each in best.status.milestones] == [6, STEPS]
    # Each life went on from the checkpoint of the one before, and every step was trained.
    x = best.spec.parameters[0].value
    lines = (checkpoints.folder / f"losses-{x}").read_text().splitlines()
    losses = {int(step): float.fromhex(value) for step, value in map(str.split, lines)}
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert len(lines) < STEPS + 6
    assert {each.at: each.value for each in best.status.milestones} == {
        at: pytest.approx(losses[at]) for at in (6, STEPS)
    }
    assert operator.complaints() == []


def test_a_gang_that_has_only_some_of_its_nodes_gives_them_back_when_it_is_paused(
    two_nodes: Connection, namespace: str, operator: Operator
) -> None:
    training = {"unit": "Step", "max": 2}
    count = len(two_nodes.get("nodes")["items"]) + 1  # one more than there are
    made = _study(namespace, count, training=training, budget={"trials": 1})
    # A signal that comes before Python can take it is lost, and the pod stays for all of its grace.
    made["spec"]["template"]["pod"]["spec"]["terminationGracePeriodSeconds"] = 20
    two_nodes.apply(made)

    def states() -> list[str | None]:
        return [each.status.state for each in studies.stored(two_nodes, namespace, "gang")[1]]

    wait_until(
        "the first pods wait for the last",
        lambda: len(_pods(two_nodes, namespace, "gang-0000")) == count - 1,
        seconds_max=90,
    )
    assert states() != ["Running"]
    _patch(two_nodes, namespace, {"state": "Paused"})
    wait_until("it is paused", lambda: states() == ["Paused"], seconds_max=90)
    kinds = "jobs,pods"
    wait_until(
        "no pod is left", lambda: not two_nodes.get(kinds, "-n", namespace)["items"], seconds_max=90
    )

    _patch(two_nodes, namespace, {"state": "Running", "template": {"nodes": count - 1}})
    _, [trial] = studies.wait_for_end(two_nodes, namespace, "gang", seconds_max=90)

    assert [each.cause for each in trial.status.attempts][1:] == ["Done"]
    assert (trial.status.state, trial.status.crashes) == ("Completed", 0)


@pytest.mark.slow
def test_a_gang_that_is_suspended_and_resumed_by_hand_goes_on_as_the_same_attempt(
    two_nodes: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    training = {"unit": "Step", "max": STEPS}
    two_nodes.apply(_study(namespace, 2, training=training, budget={"trials": 1}))

    def the_trial() -> Trial | None:
        found = studies.stored(two_nodes, namespace, "gang")[1]
        return found[0] if found else None

    def has_trained() -> bool:
        trial = the_trial()
        checkpoint = None if trial is None else trial.status.checkpoint
        return checkpoint is not None and checkpoint.step > 2

    def suspend(value: bool) -> None:
        patch = json.dumps({"spec": {"suspend": value}})
        two_nodes.kubectl("patch", "job", "gang-0000-a1", "-n", namespace, "-p", patch)

    wait_until("it has trained", has_trained, seconds_max=150)
    suspend(True)
    wait_until(
        "its pods are gone", lambda: not two_nodes.get("pods", "-n", namespace)["items"], 150
    )
    wait_until("it waits", lambda: (trial := the_trial()) and trial.status.state == "Pending", 60)
    suspend(False)
    _, [trial] = studies.wait_for_end(two_nodes, namespace, "gang", seconds_max=180)

    assert [each.cause for each in trial.status.attempts] == ["Done"]
    assert (trial.status.state, trial.status.crashes) == ("Completed", 0)
    x = trial.spec.parameters[0].value
    lines = (checkpoints.folder / f"losses-{x}").read_text().splitlines()
    assert sorted({int(line.split()[0]) for line in lines}) == list(range(1, STEPS + 1))
    assert operator.complaints() == []


def _patch(cluster: Connection, namespace: str, spec: dict[str, Any]) -> None:
    patch = json.dumps({"spec": spec})
    cluster.kubectl("patch", "study", "gang", "-n", namespace, "--type=merge", "-p", patch)
