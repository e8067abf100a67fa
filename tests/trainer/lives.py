"""Run a trial's processes as a shell would, and read what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from scaletune_trainer import wire

REPOSITORY = Path(__file__).parents[2]
QUADRATIC = REPOSITORY / "trainer-image" / "examples" / "quadratic.py"
SCRIPTS = Path(__file__).parent / "scripts"
PATIENCE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Ended:
    """What a shell knows of an incarnation that ended."""

    code: int
    message: wire.TerminationMessage
    output: str
    folder: Path

    @property
    def journal(self) -> list[wire.Entry]:
        return list(wire.entries_of(wire.journal_path(self.folder).read_text()))

    @property
    def checkpoints(self) -> list[int]:
        folder = wire.checkpoints_folder(self.folder)
        return sorted(int(path.name) for path in folder.glob("*")) if folder.exists() else []


@dataclass(frozen=True, slots=True)
class Life:
    """An incarnation that runs: PID 1 and its workers."""

    process: subprocess.Popen[str]
    folder: Path
    directive_path: Path
    message_path: Path

    def direct(self, directive: wire.Directive) -> None:
        write_directive(self.directive_path, directive)

    def metrics(self) -> str:
        endpoint = wire.endpoint_path(self.folder)
        wait_until(endpoint.exists)
        with urlopen(f"http://{endpoint.read_text().strip()}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def wait(self) -> Ended:
        output, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        message = wire.TerminationMessage.from_json(self.message_path.read_text())
        return Ended(self.process.returncode, message, output, self.folder)

    def journal(self) -> list[wire.Entry]:
        path = wire.journal_path(self.folder)
        return list(wire.entries_of(path.read_text())) if path.exists() else []

    def wait_for_step(self, step: int) -> None:
        def reached() -> bool:
            reports = [e for e in self.journal() if isinstance(e, wire.ReportEntry)]
            return any(report.step >= step for report in reports)

        wait_until(reached)


@dataclass(slots=True)
class Trial:
    """A trial on a volume of its own; each `start` is a further incarnation."""

    volume: Path
    max: int = 9
    milestones: Sequence[int] = (1, 3, 9)
    processes: int = 1
    launcher: str = "plain"
    program: Sequence[str] = ("-m", "scaletune_trainer.main")
    parameters: Mapping[str, wire.Value] = field(default_factory=lambda: {"x": 0.5})
    metric: str = "loss"
    incarnations: int = 0
    resumed: int = 0
    replay: Sequence[wire.Life] = ()
    only_replay: bool = False

    def spec(self, restore: wire.Place | None = None) -> wire.TrialSpec:
        return wire.TrialSpec(
            study="study",
            study_uid="uid",
            trial="study-0000",
            index=0,
            attempt=self.incarnations - self.resumed,
            parameters=self.parameters,
            seed=3,
            metric=self.metric,
            goal="Minimize",
            unit="Step",
            max=self.max,
            milestones=tuple(self.milestones),
            restore=restore,
            processes=self.processes,
            replay=self.replay,
            only_replay=self.only_replay,
        )

    def start(
        self,
        *command: str,
        restore: wire.Place | None = None,
        directive: wire.Directive | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Life:
        self.incarnations += 1
        incarnation = f"life-{self.incarnations}"
        spec = self.spec(restore)
        message = self.volume / f"message-{incarnation}"
        directive_path = self.volume / f"directive-{incarnation}"
        if directive is not None:
            write_directive(directive_path, directive)
        environment = os.environ | {
            "PYTHONPATH": str(REPOSITORY / "trainer-image"),
            "OMP_NUM_THREADS": "1",
            wire.Variable.TRIAL: spec.to_json(),
            wire.Variable.VOLUME: str(self.volume),
            wire.Variable.INCARNATION: incarnation,
            wire.Variable.DIRECTIVE: str(directive_path),
            wire.Variable.METRICS_PORT: "0",
            wire.Variable.TERMINATION_MESSAGE: str(message),
            wire.Variable.LAUNCHER: self.launcher,
        }
        process = subprocess.Popen(
            [sys.executable, *self.program, "--", *command],
            env=environment | dict(variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        folder = spec.incarnation_folder(self.volume, incarnation)
        return Life(process, folder, directive_path, message)

    def run(
        self,
        *command: str,
        restore: wire.Place | None = None,
        directive: wire.Directive | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Ended:
        return self.start(
            *command, restore=restore, directive=directive, variables=variables
        ).wait()

    def quadratic(
        self,
        *options: str,
        directive: wire.Directive | None = None,
        replay: Sequence[wire.Life] = (),
        is_same_attempt: bool = False,
    ) -> Ended:
        self.replay = replay
        self.resumed += is_same_attempt
        return self.run(sys.executable, str(QUADRATIC), *options, directive=directive)


def place(ended: Ended) -> wire.Place:
    """The checkpoint that an incarnation left behind."""
    assert ended.message.checkpoint is not None
    return wire.Place(ended.folder.name, ended.message.checkpoint)


def write_directive(path: Path, directive: wire.Directive) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(directive.to_json())
    partial.replace(path)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def values(ended: Ended) -> dict[int, float]:
    """The milestones of a message."""
    return {report.milestone: report.value for report in ended.message.reports}


def document(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found
