"""Start the workers, wait for them, and say how each of them ended.

Two launchers: torchrun, used as a library so that the failing rank and its error are known (as a
program it exits 1 whatever happened), and a plain one for a single process without torch. Either
way a worker lives on a leash (leash.py): it never outlives this process, not even when that is
killed. Workers are told to leave by SIGTERM and have `shutdown_seconds` to write a checkpoint.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scaletune_trainer import leash
from scaletune_trainer.environment import Environment
from scaletune_trainer.signals import AskedToLeave, Signals

_PR_SET_CHILD_SUBREAPER = 36
_BARRIER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker that failed ended: an exit code, or minus the signal that killed it."""

    local_rank: int
    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"rank {self.local_rank} exited with {self.code}"
        with contextlib.suppress(ValueError):
            return f"rank {self.local_rank} was killed by {signal.Signals(-self.code).name}"
        return f"rank {self.local_rank} was killed by signal {-self.code}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How all of them ended: no failures means that every worker exited with 0."""

    failures: Sequence[WorkerEnd] = ()
    asked_to_leave: bool = False
    error: str = ""
    """What the launcher itself could not do, e.g. find the other nodes."""


@dataclass(slots=True)
class Launch:
    """A command about to be run on every rank of this node."""

    environment: Environment
    command: Sequence[str]
    folder: Path
    signals: Signals
    processes_here: int = field(init=False)

    def __post_init__(self) -> None:
        here = os.environ.get("PET_NPROC_PER_NODE", "")
        self.processes_here = int(here) if here.isdigit() else self.environment.spec.processes

    def run(self) -> Ended:
        adopt_orphans()
        try:
            if self.environment.launcher == "plain":
                return self._plain()
            return self._torchrun()
        except AskedToLeave:
            return Ended(asked_to_leave=True)
        finally:
            self.signals.listen()
            kill_children()

    def _on_leash(self) -> list[str]:
        # -I and -S: nothing of the user's environment runs here, and it starts in a few ms.
        python = [sys.executable, "-I", "-S", str(leash.__file__)]
        return [*python, str(os.getpid()), str(self.folder), *self.command]

    def _plain(self) -> Ended:
        process = subprocess.Popen(self._on_leash(), start_new_session=True)
        try:
            with self.signals.raising():
                code = process.wait()
        except AskedToLeave:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.environment.shutdown_seconds)
            return Ended(asked_to_leave=True)
        return Ended([WorkerEnd(0, code)] if code else [])

    def _torchrun(self) -> Ended:
        with self.signals.raising():
            gc.disable()  # a fifth of the import would be spent on looking for garbage
            from torch.distributed import run
            from torch.distributed.elastic.multiprocessing.api import SignalException
            from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

            gc.freeze()
            gc.enable()
            _shorten_the_last_barrier()
            _give_time_to_leave(self.environment.shutdown_seconds)
            arguments = run.parse_args(self._torchrun_arguments())  # type: ignore[no-untyped-call]
            try:
                run.run(arguments)  # type: ignore[no-untyped-call]
            except SignalException:
                return Ended(asked_to_leave=True)
            except ChildFailedError as error:
                failures = [WorkerEnd(f.local_rank, f.exitcode) for f in error.failures.values()]
                return Ended(failures)
            except Exception as error:  # whatever torchrun cannot do is not the script's fault
                return Ended(error=f"torchrun: {type(error).__name__}: {error}")
        return Ended()

    def _torchrun_arguments(self) -> list[str]:
        """Everything about several nodes stands in the PET_* variables, which torchrun reads."""
        one_node = os.environ.get("PET_NNODES", "1") in ("", "1", "1:1")
        # Standalone: without it torchrun of torch 2.11 has one port for all trials of a machine.
        here = ["--standalone", "--local-addr=127.0.0.1"] if one_node else []
        if one_node:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        return [
            f"--nproc-per-node={self.processes_here}",
            "--max-restarts=0",
            f"--log-dir={self.folder / 'torchrun'}",
            *here,
            "--no-python",
            *self._on_leash(),
        ]


def _shorten_the_last_barrier() -> None:
    """A node that was asked to leave does not come to the agents' last barrier, for which the
    others would hold their devices five minutes more; torchrun has no option for it."""
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.launcher import api

    api.LocalElasticAgent = functools.partial(  # type: ignore[assignment,attr-defined]
        LocalElasticAgent, exit_barrier_timeout=_BARRIER_SECONDS
    )


def _give_time_to_leave(seconds: int) -> None:
    """Until workers are killed; an option of torchrun by now, but torch 2.11 has none for it."""
    from torch.distributed.elastic.multiprocessing.api import PContext, SubprocessContext

    close = SubprocessContext.close

    def close_in_time(
        context: PContext, death_sig: signal.Signals | None = None, timeout: int = 0
    ) -> None:
        close(context, death_sig, seconds)

    SubprocessContext.close = close_in_time  # type: ignore[method-assign,assignment]


def adopt_orphans() -> None:
    """What workers leave behind becomes our child, also when we are not process 1."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_children() -> None:
    """End whatever is left of the workers and of what they started, at once."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
