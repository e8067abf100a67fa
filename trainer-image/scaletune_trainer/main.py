"""PID 1 of a trial: start the workers, serve their metrics, and say why they ended.

    python -m scaletune_trainer.main -- COMMAND...

It decides nothing about training: the script leaves by itself, on the directive that its rank 0
reads. This process only watches, and turns what it saw into an exit code and a termination message
(both in `wire`). It works the same when it is not process 1.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaletune_trainer import birth, cgroup, runfolder, termination, wire  # noqa: F401
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.command import with_parameters
from scaletune_trainer.directive import DirectiveFile
from scaletune_trainer.environment import Environment
from scaletune_trainer.exposition import Exposition, Identity, PortError, serve
from scaletune_trainer.failure import Failure, UserError, VolumeError
from scaletune_trainer.journal import JournalReader
from scaletune_trainer.launch import Ended, Launch, kill_children
from scaletune_trainer.record import Record
from scaletune_trainer.replay import inherit
from scaletune_trainer.signals import Signals
from scaletune_trainer.stall import StallWatch
from scaletune_trainer.stderr import StandardErrors
from scaletune_trainer.verdict import Circumstances, Verdict, judge
from scaletune_trainer.wire import ExitCode, Reason

_STARTED = time.time()
USAGE = "usage: python -m scaletune_trainer.main -- COMMAND [ARGUMENT...]"


@dataclass(slots=True)
class Attempt:
    """One life of this node's part of a trial."""

    environment: Environment
    clock: DeviceClock
    signals: Signals
    reader: JournalReader
    directive: DirectiveFile
    workers_started: float = 0.0

    @classmethod
    def start(cls, environment: Environment, signals: Signals) -> Attempt:
        spec = environment.spec
        journal = wire.journal_path(environment.folder)
        return cls(
            environment=environment,
            clock=DeviceClock(_STARTED, spec.processes),
            signals=signals,
            reader=JournalReader(journal, spec.metric, spec.restore.step if spec.restore else 0),
            directive=DirectiveFile(environment.directive, wire.Directive.initial(spec)),
        )

    @property
    def is_rank_zero(self) -> bool:
        return self.environment.node_rank == 0

    def run(self, command: Sequence[str]) -> Verdict:
        """Everything until the workers have gone; what it cannot do is a verdict too."""
        try:
            command = with_parameters(command, self.environment.spec.parameters)
            if self.is_rank_zero:
                self._make_folder()
                is_over = self._inherits_end()
                self._serve()
                if is_over:
                    return judge(self._final_record(), Ended(), {}, {}, Circumstances())
                if self.environment.spec.only_replay:
                    self._final_record()
                    return Verdict(Reason.REPLAYED)
            folder = _run_folder(self.environment.folder)
            try:
                return self._run_workers(command, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except UserError as error:
            return Verdict(Reason.USER_ERROR, str(error))
        except (VolumeError, PortError) as error:
            return Verdict(Reason.CRASHED, str(error))

    def _make_folder(self) -> None:
        folder = self.environment.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VolumeError(
                f"cannot make {folder} on the checkpoint volume: {error.strerror or error}. "
                "Is it mounted, writable for this user and not full?"
            ) from error

    def _serve(self) -> None:
        spec, folder = self.environment.spec, self.environment.folder
        identity = Identity(spec.study, spec.trial, self.environment.incarnation, spec.attempt)
        exposition = Exposition(self.reader, identity, self.clock)
        serve(exposition, self.environment.metrics_port, wire.endpoint_path(folder))

    def _inherits_end(self) -> bool:
        """Take over what earlier lives left; whether there is nothing left to train after it."""
        legacy = inherit(self.environment, self.directive.read())
        if legacy.restore is not None:
            os.environ[runfolder.RESTORE] = str(legacy.restore)
            self.reader.record.step = max(self.reader.record.step, legacy.restore.step)
        return legacy.end is not None

    def _run_workers(self, command: Sequence[str], folder: Path) -> Verdict:
        os.environ[runfolder.FOLDER] = str(folder)
        os.environ[runfolder.STARTED] = repr(self.clock.started)
        launch = Launch(self.environment, command, folder, self.signals)
        errors = StandardErrors(folder, launch.processes_here)
        kills = cgroup.oom_kills()
        self.workers_started = time.time()
        # Other nodes have no journal to watch; when this one's workers go, theirs fail.
        patience = self.environment.stall_seconds if self.is_rank_zero else math.inf
        with StallWatch(self.reader, patience, kill_children) as watch:
            ended = launch.run()
        errors.close()
        ranks = range(launch.processes_here)
        around = Circumstances(
            stalled=watch.stalled,
            oom_killed=cgroup.oom_kills() > kills,
            agreed=None if self.is_rank_zero else _agreed_end(folder),
            until=self.directive.read().until,
            stall_seconds=self.environment.stall_seconds,
        )
        found = {rank: Failure.read(runfolder.failure_file(folder, rank)) for rank in ranks}
        seen = {rank: failure for rank, failure in found.items() if failure is not None}
        last_words = {rank: errors.last_words(rank) for rank in ranks}
        return judge(self._final_record(), ended, seen, last_words, around)

    def _final_record(self) -> Record:
        try:
            self.reader.refresh()
        except OSError as error:
            sys.stderr.write(f"cannot read the journal to its end: {error}\n")
        return self.reader.record

    def leave(self, verdict: Verdict) -> ExitCode:
        """Say why, wait for the reports to be stored if they were too many, and go."""
        acknowledged = self.directive.read().acknowledged
        record = self.reader.record
        message = termination.message(
            record, verdict, self.clock, acknowledged, self.workers_started
        )
        termination.write(self.environment.termination_message, message)
        if verdict.error:
            sys.stderr.write(f"scaletune: {verdict.reason}: {verdict.error}\n")
        if message.truncated:
            termination.linger(
                lambda: self.directive.read().acknowledged,
                record.sequence,
                lambda: self.signals.received,
            )
        return ExitCode.of(verdict.reason)


def _run_folder(incarnation_folder: Path) -> Path:
    """In the machine's temporary folder; on the volume where a read-only root leaves no other."""
    try:
        return Path(tempfile.mkdtemp(prefix="scaletune-"))
    except OSError:
        try:
            return Path(tempfile.mkdtemp(prefix="run-", dir=incarnation_folder))
        except OSError as error:
            raise VolumeError(
                f"no temporary folder can be made ({error.strerror or error}): mount one at /tmp"
            ) from error


def _agreed_end(folder: Path) -> Reason | None:
    try:
        return Reason(runfolder.agreed_end(folder).read_text())
    except (OSError, ValueError):
        return None


def main() -> None:
    """The console script `scaletune-trainer`.

    Leaves without the interpreter's good-byes, which take torch half a second: whoever waits for
    the exit could start the next trial in that time, and all files are closed.
    """
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    command = list(arguments[1:]) if arguments[:1] == ["--"] else list(arguments)
    if not command:
        sys.stderr.write(USAGE + "\n")
        return ExitCode.USER_ERROR
    signals = Signals()
    try:
        environment = Environment.read(os.environ)
    except wire.WireError as error:
        return _refuse(str(error))
    attempt = Attempt.start(environment, signals)
    return attempt.leave(attempt.run(command))


def _refuse(text: str) -> ExitCode:
    """Nothing can be started: the shell's doing, so infrastructure."""
    sys.stderr.write(f"scaletune: {text}\n")
    path = os.environ.get(wire.Variable.TERMINATION_MESSAGE, wire.TERMINATION_MESSAGE)
    message = wire.TerminationMessage(Reason.CRASHED, step=0, error=text)
    termination.write(Path(path), message.fitted())
    return ExitCode.CRASHED


if __name__ == "__main__":
    main()
