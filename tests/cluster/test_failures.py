"""Trials that fail in every way on real pods: the cause, what is counted, and what people read."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.conditions import FINISHED, HEALTHY, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.kubernetes.workload import VOLUME_PATH
from tests.cluster import journals, mounts, network, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.standing import Standing

Json = dict[str, Any]
SECONDS = 180
SLEEP = ["python3", "-c", "import time; time.sleep(3600)"]
HUNGRY = ["python3", f"{mounts.SCRIPTS.path}/hungry.py"]


@pytest.fixture
def operator(
    cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    folders = [checkpoints, mounts.SCRIPTS, *mounts.PYTHON]
    cluster.apply(*mounts.claims(namespace, folders))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(cluster, namespace, tmp_path) as running:
        yield running


def _quadratic(*options: str) -> list[str]:
    return [*studies.QUADRATIC, *options]


def _study(
    namespace: str,
    name: str,
    command: list[str],
    environment: Mapping[str, str] = studies.PLAIN,
    **template: Any,
) -> Json:
    """A study of one trial, which keeps its checkpoints."""
    claim = template.pop("claim", "checkpoints")
    made = studies.study(
        namespace,
        name,
        command,
        environment,
        budget={"trials": 1},
        checkpoints={"persistentVolumeClaim": {"claimName": claim}},
        training={"unit": "Step", "max": template.pop("max", 9)},
    )
    made["spec"]["template"] |= template
    pod = made["spec"]["template"]["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    return made


# By the study's name: its command, its template, and then kind, cause and words of its trial.
FAILURES: dict[str, tuple[list[str], Json, str, str, tuple[str, ...]]] = {
    "nan": (_quadratic("--diverge=3"), {}, "Diverged", "Diverged", ("not finite",)),
    "memory": (_quadratic("--memory=2"), {}, "OutOfMemory", "OutOfMemory", ("MemoryError",)),
    "killed": (
        HUNGRY,
        {},
        "OutOfMemory",
        "OutOfMemory",
        ("ran out of memory", "raise the memory"),
    ),
    "wrong": (_quadratic("--fail=1"), {}, "UserError", "UserError", ("asked to fail", "job/wrong")),
    "misspelt": (
        _quadratic("--silent"),
        {},
        "UserError",
        "UserError",
        ("without a report of loss", "reported was steps", "new Study"),
    ),
    "mute": (
        SLEEP,
        {"stallSeconds": 5, "retries": 0},
        "RetriesExhausted",
        "Stalled",
        ("no report and no checkpoint for 5 s",),
    ),
    "hung": (
        _quadratic("--hang=4"),
        {"stallSeconds": 5, "retries": 1},
        "RetriesExhausted",
        "Stalled",
        ("2 crashes in a row", "no report and no checkpoint for 5 s"),
    ),
    "full": (
        _quadratic("--every-step"),
        {"claim": "full", "retries": 1},
        "RetriesExhausted",
        "Crashed",
        ("No space left on device", "Make room on PersistentVolumeClaim full"),
    ),
    "readonly": (
        _quadratic(),
        {"claim": "readonly", "retries": 0},
        "RetriesExhausted",
        "Crashed",
        ("Read-only file system", "mounted for writing"),
    ),
}


@pytest.fixture
def volumes(standing: Standing, cluster: Connection, namespace: str, tmp_path: Path) -> None:
    """Claims on a volume that is full and on one that is read-only, on every node."""
    if standing.is_given:
        pytest.skip("such volumes can be made on our own nodes only")
    for name, options in (("full", "size=4k,mode=0777"), ("readonly", "ro")):
        folder = tmp_path / name
        folder.mkdir()
        for node in standing.own().nodes:
            words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
            network.run(*node.place.entering, *words)
        cluster.apply(*mounts.claims(namespace, [Mount(name, folder, "/", is_writable=True)]))


def _trial(cluster: Connection, namespace: str, name: str) -> Trial:
    [trial] = studies.stored(cluster, namespace, name)[1]
    return trial


@pytest.mark.slow
@pytest.mark.usefixtures("volumes")
def test_each_failure_is_counted_as_what_it_is_and_explained_where_people_look(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    cluster.apply(_stuck(namespace))
    for name, (command, template, *_) in FAILURES.items():
        made = _study(namespace, name, command, **template)
        if name == "killed":
            container = made["spec"]["template"]["pod"]["spec"]["containers"][0]
            container["resources"] = {"limits": {"memory": "256Mi"}}
        cluster.apply(made)

    for name, (_, _, kind, cause, words) in FAILURES.items():
        study, [trial] = studies.wait_for_end(cluster, namespace, name, seconds_max=SECONDS)
        failure, found = trial.status.failure, condition(trial.status.conditions, HEALTHY)
        assert failure is not None, name
        assert (failure.kind, trial.status.attempts[-1].cause) == (kind, cause), name
        assert found is not None, name
        assert (found.status, found.reason) == ("False", cause), name
        story = " ".join(
            cluster.kubectl("describe", "trial", f"{name}-0000", "-n", namespace).split()
        )
        for each in words:
            assert each in found.message, (name, found.message)
            assert story.count(" ".join(each.split())) >= 2, f"{name}: condition and Event: {story}"
        end = condition(study.status.conditions, FINISHED)
        assert end is not None
    assert len(_trial(cluster, namespace, "hung").status.attempts) == 2
    _assert_a_hung_collective_was_ended_and_went_on(cluster, namespace, checkpoints)
    assert operator.complaints() == []


def _stuck(namespace: str) -> Json:
    """Rank 1 never enters the all-reduce of step 4, in which rank 0 waits for it; once."""
    command = ["python3", f"{mounts.SCRIPTS.path}/sharded.py", f"{VOLUME_PATH}/losses"]
    # Long enough to import torch, and often enough where it is not.
    template = {"processesPerNode": 2, "stallSeconds": 60, "retries": 100}
    torch = {"OMP_NUM_THREADS": "1"}
    return _study(namespace, "stuck", [*command, "--stuck-rank=1"], torch, **template)


def _assert_a_hung_collective_was_ended_and_went_on(
    cluster: Connection, namespace: str, checkpoints: Mount
) -> None:
    study, [trial] = studies.wait_for_end(cluster, namespace, "stuck", seconds_max=2 * SECONDS)
    *ended, last = [each.cause for each in trial.status.attempts]
    assert (set(ended), last, trial.status.state) == ({"Stalled"}, "Done", "Completed")
    # The script itself asserts that it goes on where its checkpoint left it.
    before, after = sorted(steps for steps in _lives(checkpoints, study, trial).values() if steps)
    assert before[0] == 1
    assert max(before) <= 3
    assert min(after) > 1
    assert after[-1] == 9
    story = cluster.kubectl("describe", "trial", "stuck-0000", "-n", namespace)
    assert "no report and no checkpoint for 60 s" in " ".join(story.split())


def _lives(checkpoints: Mount, study: Study, trial: Trial) -> dict[str, list[int]]:
    """Which steps each incarnation of a trial has reported."""
    folder = checkpoints.folder / study.metadata.uid / trial.metadata.name
    lives = [path.name for path in folder.glob("*") if path.is_dir()]
    return {
        life: journals.steps(journals.of_life(checkpoints, study, trial, life)) for life in lives
    }


def _pod(cluster: Connection, namespace: str, study: str) -> Json:
    [pod] = cluster.get("pods", "-n", namespace, "-l", f"{STUDY_LABEL}={study}")["items"]
    return dict(pod)


def _evict(cluster: Connection, namespace: str) -> None:
    name = _pod(cluster, namespace, "evicted")["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def _drain(cluster: Connection, namespace: str) -> None:
    node = _pod(cluster, namespace, "drained")["spec"]["nodeName"]
    flags = ("--delete-emptydir-data", "--force", f"--pod-selector={STUDY_LABEL}=drained")
    try:
        cluster.kubectl("drain", node, *flags)
    finally:
        cluster.kubectl("uncordon", node)


def _delete_job(cluster: Connection, namespace: str) -> None:
    cluster.kubectl("delete", "job", "orphaned-0000-a1", "-n", namespace, "--wait=false")


def _suspend(cluster: Connection, namespace: str) -> None:
    def set_suspended(value: bool) -> None:
        patch = json.dumps({"spec": {"suspend": value}})
        words = ["patch", "job", "suspended-0000-a1", "-n", namespace, "-p", patch]
        cluster.kubectl(*words)

    def has_pods() -> bool:
        selector = f"{STUDY_LABEL}=suspended"
        return bool(cluster.get("pods", "-n", namespace, "-l", selector)["items"])

    set_suspended(True)
    wait_until("its pod leaves", lambda: not has_pods(), SECONDS)
    wait_until(
        "the trial waits",
        lambda: _trial(cluster, namespace, "suspended").status.state == "Pending",
        SECONDS,
    )
    set_suspended(False)


INTERRUPTIONS: dict[str, tuple[Callable[[Connection, str], None], list[str]]] = {
    "evicted": (_evict, ["Disrupted", "Done"]),
    "drained": (_drain, ["Disrupted", "Done"]),
    "orphaned": (_delete_job, ["Terminated", "Done"]),
    "suspended": (_suspend, ["Done"]),
}


@pytest.mark.slow
def test_whoever_takes_a_trials_pod_away_it_goes_on_where_it_was_and_nothing_is_counted(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    for name in INTERRUPTIONS:
        cluster.apply(_study(namespace, name, _quadratic("--sleep=0.4", "--every-step"), max=60))

    def has_trained(name: str) -> bool:
        study, trials = studies.stored(cluster, namespace, name)
        if not trials or trials[0].status.state != "Running":
            return False
        return any(len(steps) > 3 for steps in _lives(checkpoints, study, trials[0]).values())

    for name, (interrupt, _) in INTERRUPTIONS.items():
        wait_until(f"{name} trains", partial(has_trained, name), SECONDS)
        interrupt(cluster, namespace)

    for name, (_, causes) in INTERRUPTIONS.items():
        study, [trial] = studies.wait_for_end(cluster, namespace, name, seconds_max=SECONDS)
        status = trial.status
        assert (status.state, status.crashes) == ("Completed", 0), name
        assert [each.cause for each in status.attempts] == causes, name
        # No step was trained twice, none left out.
        lives = _lives(checkpoints, study, trial)
        assert len(lives) == 2, name
        assert sorted(step for steps in lives.values() for step in steps) == list(range(1, 61)), (
            name
        )
        # What both lives have cost is counted.
        assert status.device_seconds >= 60 * 0.4, name
        found = condition(status.conditions, HEALTHY)
        if len(causes) > 1:
            assert found is not None
            assert found.status == "True", name
            story = cluster.kubectl("describe", "trial", f"{name}-0000", "-n", namespace)
            assert "That counts as no failure" in story
    assert operator.complaints() == []


@pytest.mark.slow
def test_a_trial_that_somebody_deletes_is_gone_with_its_pod_and_the_study_goes_on(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    made = _study(namespace, "short", _quadratic("--sleep=0.5", "--every-step"), max=30)
    made["spec"]["budget"] = {"trials": 2}
    cluster.apply(made)

    def runs() -> bool:
        found = studies.stored(cluster, namespace, "short")[1]
        return [(each.index, each.status.state) for each in found] == [(0, "Running")]

    wait_until("the first trial runs", runs, SECONDS)
    cluster.kubectl("delete", "trial", "short-0000", "-n", namespace)

    study, trials = studies.wait_for_end(cluster, namespace, "short", seconds_max=SECONDS)
    assert [(trial.index, trial.status.state) for trial in trials] == [(1, "Completed")]
    assert study.status.created == 2

    def is_gone() -> bool:
        left = cluster.get("pods,jobs", "-n", namespace)["items"]
        return all("short-0000" not in each["metadata"]["name"] for each in left)

    # The garbage collector looks for new kinds of owners every half minute.
    wait_until("its Job and pod are gone", is_gone, SECONDS)
    assert operator.complaints() == []
