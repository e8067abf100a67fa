"""A Study on this machine for tests: the torch-free script, real processes, the real command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.local.folder import Folder
from scaletune_trainer.wire import Variable

ROOT = Path(__file__).parents[3]
QUADRATIC = ROOT / "trainer-image/examples/quadratic.py"
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Laptop:
    """A working directory with a Study file and the folder of its run."""

    home: Path

    @property
    def study_file(self) -> Path:
        return self.home / "study.yaml"

    @property
    def folder(self) -> Folder:
        return Folder(self.home / "runs" / "quad")

    def write_study(
        self, *options: str, launcher: str = "plain", template: Any = None, **spec: Any
    ) -> None:
        """The Study; `options` are those of quadratic.py, `spec` replaces fields."""
        container = {
            "name": "trainer",
            "command": ["python", str(QUADRATIC)],
            "args": list(options),
            "env": [{"name": Variable.LAUNCHER, "value": launcher}],
        }
        document = {
            "apiVersion": "scaletune.dev/v1alpha1",
            "kind": "Study",
            "metadata": {"name": "quad"},
            "spec": {
                "objectives": [{"metric": "loss", "goal": "Minimize"}],
                "parameters": [{"name": "x", "float": {"min": 0, "max": 1}}],
                "training": {"unit": "Step", "max": 4},
                "policy": {"asha": {"eta": 2, "min": 1, "mode": "Promote"}},
                "budget": {"trials": 4},
                "template": {**(template or {}), "pod": {"spec": {"containers": [container]}}},
                **spec,
            },
        }
        self.study_file.write_text(json.dumps(document))

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`scaletune run` to its end."""
        return subprocess.run(
            self._command(*arguments),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """`scaletune run` in the background; ended with the block at the latest."""
        popen = subprocess.Popen(
            self._command(*arguments),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield popen
        finally:
            popen.kill()
            popen.communicate()

    def run_until_write(self, count: int) -> int:
        """`scaletune run`, killed at this write; its exit code."""
        command = self._command()
        command[2:3] = ["tests.shells.local.mortal", str(count)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )
        return done.returncode

    def _command(self, *arguments: str) -> list[str]:
        directory = ["--directory", str(self.folder.root)]
        return [
            *(sys.executable, "-m", "scaletune", "run"),
            *(str(self.study_file), *directory, *arguments),
        ]

    @property
    def study(self) -> Study:
        """The stored Study."""
        study = self.folder.read_study()
        assert study is not None
        return study

    @property
    def trials(self) -> list[Trial]:
        """The stored Trials."""
        return list(self.folder.read_trials().values())

    def processes(self) -> list[psutil.Process]:
        """All processes of this folder's trials."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            volume = process.environ().get(Variable.VOLUME)
            return volume == str(self.folder.volume) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False


def outcome(laptop: Laptop) -> list[Any]:
    """What a run decided and recorded, without its times and names."""
    timeless = {"device_seconds"}
    return [
        (
            trial.index,
            trial.spec.parameters,
            trial.spec.until,
            trial.spec.state,
            trial.status.state,
            [record.model_dump(exclude=timeless) for record in trial.status.milestones],
        )
        for trial in laptop.trials
    ]


def eventually(fact: Callable[[], Any], what: str) -> Any:
    """Wait until a fact holds; its value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := fact()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return value


def kill(pid: int) -> None:
    """SIGKILL, to a process that may have gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
