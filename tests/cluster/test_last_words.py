"""Trainers that die on their last retry without a word: what their journals hold is told.

PID 1 of a pod is stopped before its script goes on, so that nobody hears what the script reports
from there: no metrics are served and no message is written. Then it is killed, by us or for want of
memory.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.conditions import HEALTHY, condition
from scaletune.shells.kubernetes.workload import VOLUME_PATH
from scaletune_trainer import wire
from tests.cluster import journals, mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.standing import Standing

Json = dict[str, Any]
SECONDS = 180
GATED = ["python3", f"{mounts.SCRIPTS.path}/gated.py"]

# By the study's name: what its script does, its retries, how many of its attempts crash before the
# one that nobody hears, and how they all end.
DEATHS: dict[str, tuple[list[str], int, int, list[str]]] = {
    "done": ([], 0, 0, ["Crashed", "Done"]),
    "saved": (["--saves", "--stay=5", "--crashes"], 1, 1, ["Crashed"] * 2 + ["Replayed", "Done"]),
    "unsaved": (["--stay=5"], 0, 0, ["Crashed", "Replayed"]),
    "hungry": (["--stay=5", "--hungry"], 0, 0, ["OutOfMemory", "Replayed"]),
}


@pytest.fixture
def operator(
    cluster: Connection,
    standing: Standing,
    crds: list[str],
    namespace: str,
    checkpoints: Mount,
    tmp_path: Path,
) -> Iterator[Operator]:
    if standing.is_given:
        pytest.skip("processes in pods can be stopped on our own nodes only")
    cluster.apply(*mounts.claims(namespace, [checkpoints, mounts.SCRIPTS, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(cluster, namespace, tmp_path) as running:
        yield running


def _study(namespace: str, name: str) -> Json:
    """A study of one trial with milestones at 3 and 9 steps, which waits before step 2."""
    options, retries, *_ = DEATHS[name]
    made = studies.study(
        namespace,
        name,
        [*GATED, f"{VOLUME_PATH}/{name}.gate", *options],
        budget={"trials": 1},
        checkpoints=studies.claim(),
        policy={"asha": {"min": 3, "eta": 3, "mode": "Stop"}},
    )
    made["spec"]["template"]["retries"] = retries
    pod = made["spec"]["template"]["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    # With the same of both asked for, the kernel prefers none of its processes.
    limits = {"memory": "256Mi", "cpu": "400m"}
    pod["containers"][0]["resources"] = {"limits": limits}
    return made


def _first_process(incarnation: str) -> int:
    """The number that this machine gives the PID 1 of a pod."""
    variable = f"{wire.Variable.INCARNATION}={incarnation}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_its = variable in (folder / "environ").read_bytes().split(b"\0")
            status = (folder / "status").read_text()
        except OSError:  # it has ended
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if is_its and numbers[-1] == "1":
            return int(folder.name)
    raise AssertionError(f"no process is PID 1 of the pod {incarnation}")


def _let_die_unheard(cluster: Connection, namespace: str, name: str, checkpoints: Mount) -> None:
    """Stop PID 1, let the script go on as far as it goes, and have PID 1 killed."""
    waiting = checkpoints.folder / f"{name}.waiting"
    wait_until(f"{name} waits at its gate", waiting.exists, SECONDS)
    wait_until(f"{name} is known", lambda: _life(cluster, namespace, name), SECONDS)
    study, [trial] = studies.stored(cluster, namespace, name)
    process = _first_process(_life(cluster, namespace, name))
    os.kill(process, signal.SIGSTOP)
    # Whom the kernel kills first is up to it; in control groups of version 2, all at once.
    Path(f"/proc/{process}/oom_score_adj").write_text("1000")
    (checkpoints.folder / f"{name}.gate").touch()

    def has_come_far() -> bool:
        entries = journals.of_attempt(checkpoints, study, trial, trial.status.attempts[-1].number)
        is_over = bool(entries) and isinstance(entries[-1], wire.EndEntry)
        return is_over or (checkpoints.folder / f"{name}.stayed").exists()

    wait_until(f"{name} trains unheard", has_come_far, SECONDS)
    if name != "hungry":
        os.kill(process, signal.SIGKILL)


def _life(cluster: Connection, namespace: str, name: str) -> str:
    """The pod of the attempt that will wait at its gate; nothing before it is known."""
    [trial] = studies.stored(cluster, namespace, name)[1]
    last = trial.status.attempts[-1]
    return "" if last.number <= DEATHS[name][2] else last.incarnation


@pytest.mark.slow
def test_who_dies_on_the_last_retry_without_a_word_is_heard_by_its_journal(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    cluster.apply(*(_study(namespace, name) for name in DEATHS))
    for name in DEATHS:
        _let_die_unheard(cluster, namespace, name, checkpoints)

    for name, (*_, causes) in DEATHS.items():
        study, [trial] = studies.wait_for_end(cluster, namespace, name, SECONDS)
        assert [each.cause for each in trial.status.attempts] == causes, name
        # The milestone of step 3 was never heard of but by a journal.
        first = trial.status.milestones[0]
        assert (first.at, first.step) == (3, 3), name
        assert first.value == pytest.approx(1 / 3), name
        for number, cause in enumerate(causes, 1):
            if cause == "Replayed":
                assert (
                    journals.steps(journals.of_attempt(checkpoints, study, trial, number)) == []
                ), name
        if name in ("done", "saved"):
            assert trial.status.state == "Completed", name
            assert [record.at for record in trial.status.milestones] == [3, 9], name
    _assert_it_went_on_from_the_checkpoint_of_which_the_journal_told(
        cluster, namespace, checkpoints
    )
    _assert_is_told(cluster, namespace, "unsaved", "RetriesExhausted", "no newer checkpoint")
    _assert_is_told(cluster, namespace, "hungry", "OutOfMemory", "ran out of memory")
    assert operator.complaints() == []


def _assert_it_went_on_from_the_checkpoint_of_which_the_journal_told(
    cluster: Connection, namespace: str, checkpoints: Mount
) -> None:
    study, [trial] = studies.stored(cluster, namespace, "saved")
    unheard, restored = trial.status.attempts[1], trial.status.attempts[3].restored
    assert restored is not None
    assert (restored.incarnation, restored.step) == (unheard.incarnation, 4)
    # Reports between milestones are written down now and then.
    steps = journals.steps(journals.of_attempt(checkpoints, study, trial, 4))
    assert (steps[0], steps[-1]) == (5, 9)


def _assert_is_told(cluster: Connection, namespace: str, name: str, kind: str, words: str) -> None:
    _, [trial] = studies.stored(cluster, namespace, name)
    failure, found = trial.status.failure, condition(trial.status.conditions, HEALTHY)
    assert failure is not None
    assert (failure.kind, failure.at) == (kind, 9)
    assert found is not None
    assert (found.status, found.reason) == ("False", kind)
    assert words in found.message
    story = cluster.kubectl("describe", "trial", f"{name}-0000", "-n", namespace)
    assert "only reads its journal" in " ".join(story.split())


MILESTONES = 50
"""More reports than last words have room for."""


def _garrulous(namespace: str) -> Json:
    """A study of two trials with a milestone at each step, which wait before step 2."""
    made = studies.study(
        namespace,
        "garrulous",
        [*GATED, f"{VOLUME_PATH}/garrulous.gate"],
        budget={"trials": 2},
        parallelism=2,
        checkpoints=studies.claim(),
        # Nobody gives up: whose journal is read first must not decide what the other one trains.
        policy={"pbt": {"population": 2, "interval": 1, "fraction": 0}},
    )
    made["spec"]["training"]["max"] = MILESTONES
    pod = made["spec"]["template"]["pod"]["spec"]
    pod["volumes"] += mounts.volumes([mounts.SCRIPTS])[1:]
    pod["containers"][0]["volumeMounts"] += mounts.volume_mounts([mounts.SCRIPTS])[1:]
    return made


@pytest.mark.slow
def test_more_reports_than_last_words_hold_are_read_in_the_journal_when_nobody_listened(
    cluster: Connection, namespace: str, checkpoints: Mount, operator: Operator
) -> None:
    cluster.apply(_garrulous(namespace))

    def wait() -> bool:
        trials = studies.stored(cluster, namespace, "garrulous")[1]
        known = [e.incarnation for trial in trials for e in trial.status.attempts if e.incarnation]
        return len(known) == 2 and (checkpoints.folder / "garrulous.waiting").exists()

    wait_until("both wait at their gate", wait, SECONDS)
    operator.kill()
    (checkpoints.folder / "garrulous.gate").touch()

    def are_gone() -> bool:
        pods = cluster.get("pods", "-n", namespace)["items"]
        return {pod["status"]["phase"] for pod in pods} == {"Succeeded"}

    wait_until("nobody has listened", are_gone, SECONDS)
    operator.start()
    _, trials = studies.wait_for_end(cluster, namespace, "garrulous", SECONDS)

    for trial in trials:
        assert [each.cause for each in trial.status.attempts] == ["Done", "Done"]
        assert (trial.status.state, trial.status.crashes) == ("Completed", 0)
        told = {record.at: record.value for record in trial.status.milestones}
        assert told == pytest.approx({step: 1 / step for step in range(1, MILESTONES + 1)})
    assert operator.complaints() == []
