"""Processes of trials: started on a leash, recognised by their environment, ended when told.

A trial's processes never outlive this one: the kernel kills PID 1 of the trial when its parent
dies (where the kernel can: Linux), and PID 1 keeps its workers on a leash of its own. Those of an
earlier run that are alive nevertheless are found by SCALETUNE_VOLUME in their environment, which
only processes of this folder's runs have; no pid is ever trusted.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scaletune.shells.local.folder import Folder
from scaletune.shells.local.machine import Container, environment
from scaletune_trainer import wire

SHUTDOWN_SECONDS = 25  # what torchrun leaves its workers to write a checkpoint
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """What is to be started: one attempt of a trial."""

    spec: wire.TrialSpec
    incarnation: str
    directive: wire.Directive
    folder: Path  # of the attempt
    container: Container
    trials_at_once: int


@dataclass
class Life:
    """The processes of a trial while they live."""

    popen: "subprocess.Popen[bytes]"
    incarnation: str
    folder: Path  # of the attempt
    incarnation_folder: Path
    processes: int
    started: float = field(default_factory=time.monotonic)
    scraped: float = 0.0
    directive: str = ""
    ended_by_us: bool = False

    def exit_code(self) -> int | None:
        """The exit code of PID 1; None while it lives."""
        return self.popen.poll()

    def device_seconds(self) -> float:
        """Processes times wall time since the start."""
        return self.processes * (time.monotonic() - self.started)

    def ask_to_leave(self) -> None:
        """Let the trainer write a checkpoint and go."""
        self.popen.terminate()

    def kill(self) -> None:
        """End PID 1 at once; its leash ends the workers."""
        self.popen.kill()


def start(order: Order, folder: Folder, stall_seconds: int) -> Life:
    """Start PID 1 of a trial. Raises OSError."""
    log = order.folder / "log.txt"
    variables = {
        **environment(order.container, order.trials_at_once, order.spec.processes),
        wire.Variable.TRIAL: order.spec.to_json(),
        wire.Variable.VOLUME: str(folder.volume),
        wire.Variable.INCARNATION: order.incarnation,
        wire.Variable.DIRECTIVE: str(directive_file(order.folder)),
        wire.Variable.METRICS_PORT: "0",
        wire.Variable.TERMINATION_MESSAGE: str(message_file(order.folder)),
        wire.Variable.STALL_SECONDS: str(stall_seconds),
        wire.Variable.SHUTDOWN_SECONDS: str(SHUTDOWN_SECONDS),
    }
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [sys.executable, "-m", "scaletune_trainer.main", "--", *order.container.command],
            env=variables,
            cwd=order.container.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us alone; we tell the trainers
            preexec_fn=_leash(),
        )
    return Life(
        popen=popen,
        incarnation=order.incarnation,
        folder=order.folder,
        incarnation_folder=order.spec.incarnation_folder(folder.volume, order.incarnation),
        processes=order.spec.processes,
        directive=order.directive.to_json(),
    )


def directive_file(attempt: Path) -> Path:
    """What the trainer is to do now."""
    return attempt / "directive.json"


def message_file(attempt: Path) -> Path:
    """The trainer's last words."""
    return attempt / "termination.json"


def _leash() -> Callable[[], None] | None:
    """Makes the kernel kill the new process when this one dies."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before the leash was on

    return bind


def end_leftovers(folder: Folder) -> int:
    """Kill processes that earlier runs on this folder left; how many there were."""
    found = [process for process in psutil.process_iter() if _is_of(process, folder.volume)]
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=10)
    return len(found)


def _is_of(process: psutil.Process, volume: Path) -> bool:
    try:
        return process.environ().get(wire.Variable.VOLUME) == str(volume)
    except (psutil.Error, OSError):
        return False
