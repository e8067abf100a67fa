"""Real torchrun: checkpoints that go on to the last bit and on other numbers of processes.

The runs are few and shared, since each has to import torch in every process; where one process is
enough, the plain launcher saves one import more.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.api import SubprocessContext

from scaletune_trainer import launch, wire
from scaletune_trainer.wire import Reason
from tests.trainer.lives import QUADRATIC, SCRIPTS, Ended, Trial, place

SHARDED = SCRIPTS / "sharded.py"
STEPS = 6


def new_trial(folder: Path, processes: int = 1) -> Trial:
    folder.mkdir(exist_ok=True)
    return Trial(folder, max=STEPS, milestones=(3, STEPS), processes=processes, launcher="torchrun")


def train(
    trial: Trial,
    name: str,
    *options: str,
    until: int = STEPS,
    restore: wire.Place | None = None,
) -> tuple[Ended, dict[int, float]]:
    losses = trial.volume / f"losses-{name}"
    command = [sys.executable, str(SHARDED), str(losses), *options]
    ended = trial.run(*command, restore=restore, directive=wire.Directive(1, until))
    return ended, read_losses(losses)


def read_losses(path: Path) -> dict[int, float]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {int(step): float.fromhex(value) for step, value in rows}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """One process, from the first step to the last."""
    ended, losses = train(new_trial(tmp_path_factory.mktemp("undisturbed")), "all")
    assert (ended.code, ended.message.reason) == (0, Reason.DONE), ended.output
    assert list(losses) == list(range(1, STEPS + 1))
    return losses


@pytest.mark.slow
def test_a_resumed_curve_is_the_undisturbed_one_to_the_last_bit(tmp_path: Path) -> None:
    whole, expected = train(new_trial(tmp_path / "whole"), "all", "--dropout=0.2")
    trial = new_trial(tmp_path / "parts")
    paused, first = train(trial, "first", "--dropout=0.2", until=3)
    resumed, second = train(trial, "second", "--dropout=0.2", restore=place(paused))

    assert [whole.code, paused.code, resumed.code] == [0, 0, 0], resumed.output
    assert paused.message.reason is Reason.PAUSED
    assert {**first, **second} == expected
    assert list(second) == [4, 5, 6]
    assert whole.checkpoints[-1] == STEPS
    assert len(whole.checkpoints) <= 2


@pytest.mark.slow
def test_a_checkpoint_of_one_process_goes_on_with_two(
    tmp_path: Path, undisturbed: dict[int, float]
) -> None:
    trial = new_trial(tmp_path)
    paused, first = train(trial, "first", until=3)
    trial.processes, trial.launcher = 2, "torchrun"
    resumed, second = train(trial, "second", restore=place(paused))

    assert (resumed.code, resumed.message.reason) == (0, Reason.DONE), resumed.output
    assert {**first, **second} == pytest.approx(undisturbed, rel=1e-4)


@pytest.mark.slow
def test_two_processes_leave_on_sigterm_at_one_step_and_go_on_as_one(
    tmp_path: Path, undisturbed: dict[int, float]
) -> None:
    trial = new_trial(tmp_path, processes=2)
    losses = tmp_path / "losses-first"
    life = trial.start(sys.executable, str(SHARDED), str(losses), "--sleep=0.5")
    life.wait_for_step(2)
    life.process.send_signal(signal.SIGTERM)
    left = life.wait()
    trial.processes = 1
    resumed, second = train(trial, "second", restore=place(left))

    assert (left.code, left.message.reason) == (143, Reason.TERMINATED), left.output
    assert left.message.checkpoint == left.message.step == max(read_losses(losses))
    assert (resumed.code, resumed.message.reason) == (0, Reason.DONE), resumed.output
    assert {**read_losses(losses), **second} == pytest.approx(undisturbed, rel=1e-4)


@pytest.mark.slow
def test_an_older_torchrun_serves_several_trials_of_a_machine(tmp_path: Path) -> None:
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # taken in any case
            another.bind(("", 29500))
            another.listen()
        trial = replace(new_trial(tmp_path), program=[str(SCRIPTS / "older.py")])
        ended = trial.quadratic("--sleep=0")

    assert (ended.code, ended.message.reason) == (0, Reason.DONE), ended.output


def test_workers_have_the_time_to_leave_that_the_shell_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []

    def close(context: object, death_sig: object = None, timeout: int = 30) -> None:
        given.append(timeout)

    monkeypatch.setattr(SubprocessContext, "close", close)
    launch._give_time_to_leave(110)
    context = SubprocessContext.__new__(SubprocessContext)
    context.close(signal.SIGTERM)
    context.close(signal.SIGTERM, 30)

    assert given == [110, 110]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "words"),
    [
        pytest.param("--fail-rank=1", "rank 1 exited with 1", id="an exception"),
        pytest.param("--kill-rank=1", "rank 1 was killed by SIGKILL", id="a signal"),
    ],
)
def test_the_rank_that_failed_first_is_named(tmp_path: Path, option: str, words: str) -> None:
    ended, _ = train(new_trial(tmp_path, processes=2), "all", option)

    assert (ended.code, ended.message.reason) == (1, Reason.CRASHED)
    assert words in ended.message.error


@pytest.mark.slow
def test_two_nodes_leave_together_when_one_is_asked_to(tmp_path: Path) -> None:
    trial = Trial(tmp_path, max=100_000, milestones=(1, 100_000), processes=2, launcher="torchrun")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nodes = [
        trial.start(
            sys.executable,
            str(QUADRATIC),
            "--sleep=0.05",
            variables={
                "PET_NNODES": "2",
                "PET_NPROC_PER_NODE": "1",
                "PET_NODE_RANK": str(rank),
                "PET_MASTER_ADDR": "127.0.0.1",
                "PET_MASTER_PORT": str(port),
                "GLOO_SOCKET_IFNAME": "lo",
                wire.Variable.STALL_SECONDS: "60",
            },
        )
        for rank in (0, 1)
    ]
    nodes[0].wait_for_step(2)
    nodes[1].process.send_signal(signal.SIGTERM)
    first, second = [node.wait() for node in nodes]

    assert (first.code, first.message.reason) == (143, Reason.TERMINATED), first.output
    assert (second.code, second.message.reason) == (143, Reason.TERMINATED), second.output
    assert first.checkpoints == [first.message.step]
    assert not second.folder.exists()
