"""Every way in which an incarnation ends, with real processes: exit code, reason, message.

The plain launcher and a script without torch, because neither changes what PID 1 concludes; the
same with torchrun and several ranks is in test_torchrun.py.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from scaletune_trainer import wire
from scaletune_trainer.wire import Reason, State
from tests.trainer.lives import QUADRATIC, Trial, document, place, values, wait_until


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_a_trial_that_reaches_its_maximum_is_done(trial: Trial) -> None:
    ended = trial.quadratic()

    assert (ended.code, ended.message.reason) == (0, Reason.DONE)
    assert values(ended) == pytest.approx({1: 1.04, 3: 0.04 + 1 / 3, 9: 0.04 + 1 / 9})
    assert ended.message.checkpoint == 9
    assert ended.checkpoints[-1] == 9
    assert ended.journal[-1].sequence == ended.message.sequence


def test_a_trial_pauses_at_until_with_a_checkpoint(trial: Trial) -> None:
    ended = trial.quadratic(directive=wire.Directive(4, 3))

    assert (ended.code, ended.message.reason) == (0, Reason.PAUSED)
    assert (ended.message.step, ended.message.checkpoint) == (3, 3)
    assert ended.message.generation == 4


def test_a_paused_trial_goes_on_where_it_was(trial: Trial) -> None:
    paused = trial.quadratic(directive=wire.Directive(1, 3))
    ended = trial.run(sys.executable, str(QUADRATIC), restore=place(paused))

    state = document(ended.folder / "checkpoints" / "9" / "state.json")
    assert ended.message.reason is Reason.DONE
    assert list(values(ended)) == [9]
    assert state["plain"] == {"state": {"steps": 9}}
    assert state["served"] == [1, 3, 9]


def test_a_trial_resumed_before_until_was_raised_pauses_at_once(trial: Trial) -> None:
    paused = trial.quadratic(directive=wire.Directive(1, 3))
    again = trial.run(
        sys.executable, str(QUADRATIC), restore=place(paused), directive=wire.Directive(1, 3)
    )

    assert (again.code, again.message.reason, again.message.step) == (0, Reason.PAUSED, 3)
    assert again.message.checkpoint is None
    assert again.checkpoints == []


@pytest.mark.parametrize(
    ("state", "reason", "has_checkpoint"),
    [
        pytest.param(State.PAUSED, Reason.PAUSED, True, id="paused"),
        pytest.param(State.STOPPED, Reason.STOPPED, False, id="stopped"),
    ],
)
def test_a_running_trial_follows_its_directive(
    trial: Trial, state: State, reason: Reason, has_checkpoint: bool
) -> None:
    trial.max, trial.milestones = 100_000, (1, 100_000)
    life = trial.start(sys.executable, str(QUADRATIC), "--sleep=0.01")
    life.wait_for_step(1)
    life.direct(wire.Directive(7, 100_000, state))
    ended = life.wait()

    assert (ended.code, ended.message.reason, ended.message.generation) == (0, reason, 7)
    assert (ended.message.checkpoint == ended.message.step) is has_checkpoint


def test_a_directive_of_an_older_generation_changes_nothing(trial: Trial) -> None:
    trial.max, trial.milestones = 60, (1, 60)
    life = trial.start(
        sys.executable, str(QUADRATIC), "--sleep=0.01", directive=wire.Directive(5, 60)
    )
    life.wait_for_step(2)
    life.direct(wire.Directive(4, 60, State.STOPPED))
    ended = life.wait()

    assert (ended.message.reason, ended.message.generation) == (Reason.DONE, 5)


def test_sigterm_leaves_with_a_checkpoint_and_143(trial: Trial) -> None:
    trial.max, trial.milestones = 100_000, (1, 100_000)
    life = trial.start(sys.executable, str(QUADRATIC), "--sleep=0.01")
    life.wait_for_step(2)
    life.process.send_signal(signal.SIGTERM)
    ended = life.wait()

    assert (ended.code, ended.message.reason) == (143, Reason.TERMINATED)
    assert ended.message.checkpoint == ended.message.step
    assert ended.checkpoints == [ended.message.step]


def test_sigterm_before_the_script_listens_is_143_too(trial: Trial) -> None:
    life = trial.start("sleep", "60")
    wait_until(lambda: bool(psutil.Process(life.process.pid).children()))
    life.process.send_signal(signal.SIGTERM)
    ended = life.wait()

    assert (ended.code, ended.message.reason, ended.message.checkpoint) == (
        143,
        Reason.TERMINATED,
        None,
    )


@pytest.mark.parametrize("step", [2, 3])
def test_divergence_is_an_outcome(trial: Trial, step: int) -> None:
    ended = trial.quadratic(f"--diverge={step}")

    assert (ended.code, ended.message.reason, ended.message.step) == (0, Reason.DIVERGED, step)
    assert math.isnan(values(ended)[3])
    assert ended.checkpoints == []


@pytest.mark.parametrize(
    ("options", "code", "reason", "words"),
    [
        pytest.param("--fail=1", 43, Reason.USER_ERROR, "asked to fail", id="before a report"),
        pytest.param("--fail=5", 1, Reason.CRASHED, "asked to fail", id="after a report"),
        pytest.param("--memory=1", 44, Reason.OUT_OF_MEMORY, "MemoryError", id="memory, early"),
        pytest.param("--memory=5", 44, Reason.OUT_OF_MEMORY, "MemoryError", id="memory, later"),
        pytest.param("--kill=1", 1, Reason.CRASHED, "SIGKILL", id="killed, early"),
        pytest.param("--kill=5", 1, Reason.CRASHED, "SIGKILL", id="killed, later"),
        pytest.param("--silent", 43, Reason.USER_ERROR, "trial.report(loss=", id="never reports"),
        pytest.param("--leave=5", 43, Reason.USER_ERROR, "ended by itself", id="ends early"),
        pytest.param("--nonsense", 43, Reason.USER_ERROR, "unrecognized", id="wrong option"),
    ],
)
def test_a_failure_is_somebodys(
    trial: Trial, options: str, code: int, reason: Reason, words: str
) -> None:
    ended = trial.quadratic(*options.split())

    assert (ended.code, ended.message.reason) == (code, reason)
    assert words in ended.message.error
    assert words in ended.output


def test_a_hung_script_is_ended_as_stalled(trial: Trial) -> None:
    ended = trial.run(
        sys.executable,
        str(QUADRATIC),
        "--hang=3",
        variables={wire.Variable.STALL_SECONDS: "0.6"},
    )

    assert (ended.code, ended.message.reason) == (45, Reason.STALLED)
    assert values(ended) == pytest.approx({1: 1.04})


def test_a_command_that_does_not_exist_is_the_users_error(trial: Trial) -> None:
    ended = trial.run("no-such-program")

    assert (ended.code, ended.message.reason) == (43, Reason.USER_ERROR)
    assert "cannot start 'no-such-program'" in ended.message.error


def test_parameters_reach_the_command_line(trial: Trial) -> None:
    trial.parameters = {"rate": 1e-05, "name": "a b", "tied": True, "size": 3}
    ended = trial.run("echo", "$(params.rate)/$(params.name)/$(params.tied)/$(params.size)")

    assert "1e-05/a b/true/3\n" in ended.output


def test_an_unknown_parameter_in_the_command_is_the_users_error(trial: Trial) -> None:
    ended = trial.run("echo", "$(params.rate)")

    assert (ended.code, ended.message.reason) == (43, Reason.USER_ERROR)
    assert "no parameter 'rate' (it has: x)" in ended.message.error


def test_a_volume_that_cannot_be_written_is_infrastructure(trial: Trial) -> None:
    (trial.volume / "uid").write_text("a file where a folder should be")
    ended = trial.quadratic()

    assert (ended.code, ended.message.reason) == (1, Reason.CRASHED)
    assert "on the checkpoint volume" in ended.message.error


@pytest.mark.parametrize(
    ("size", "words"),
    [
        pytest.param(420, "cannot write the journal", id="no room for the journal"),
        pytest.param(1000, "cannot write the checkpoint", id="no room for a checkpoint"),
    ],
)
def test_a_volume_that_is_full_is_infrastructure(trial: Trial, size: int, words: str) -> None:
    program = (
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        f"sys.argv = ['q']; runpy.run_path({str(QUADRATIC)!r}, run_name='__main__')"
    )
    ended = trial.run(sys.executable, "-c", program)

    assert (ended.code, ended.message.reason) == (1, Reason.CRASHED)
    assert words in ended.message.error


def test_a_metrics_port_that_is_taken_is_infrastructure(trial: Trial) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = trial.run("true", variables={wire.Variable.METRICS_PORT: port})

    assert (ended.code, ended.message.reason) == (1, Reason.CRASHED)
    assert f"cannot serve metrics on port {port}" in ended.message.error


def test_another_version_of_the_protocol_is_refused_clearly(trial: Trial) -> None:
    text = trial.spec().to_json().replace('"wire":1', '"wire":2')
    ended = trial.run("true", variables={wire.Variable.TRIAL: text})

    assert (ended.code, ended.message.reason) == (1, Reason.CRASHED)
    assert "releases of operator and trainer image that go together" in ended.message.error


def test_workers_do_not_outlive_a_killed_pid_1(trial: Trial) -> None:
    life = trial.start(sys.executable, str(QUADRATIC), "--sleep=0.1", "--every-step")
    life.wait_for_step(1)
    (worker,) = psutil.Process(life.process.pid).children()
    os.kill(life.process.pid, signal.SIGKILL)
    life.process.communicate()

    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_what_the_script_started_does_not_outlive_it(trial: Trial) -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid); 1 / 0"
    ended = trial.run(sys.executable, "-c", program)

    pid = int(ended.output.split()[0])
    wait_until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    )


def test_checkpoints_that_nobody_needs_are_deleted(trial: Trial) -> None:
    paused = trial.quadratic(directive=wire.Directive(1, 3))
    old = place(paused)
    ended = trial.run(
        sys.executable,
        str(QUADRATIC),
        restore=old,
        directive=wire.Directive(2, 9, remove=(old, wire.Place("nobody", 5))),
    )

    assert ended.message.reason is Reason.DONE
    assert paused.checkpoints == []
    assert ended.checkpoints == [9]
