"""The folder of a run: all of its state, as the same YAML that `kubectl get -o yaml` would show.

    study.yaml               the Study, with its status
    trials/NAME.yaml         the Trials
    ledger.jsonl             what arrived, in its order; see `ledger_file`
    volume/                  the trials' checkpoints and journals
    attempts/NAME/NUMBER/    one start of a trial's processes: log.txt, directive, last words
    lock                     who is running it

A file is replaced as a whole (written beside, synced, renamed), so that a kill at any instant
leaves the old one or the new one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from scaletune.api import reader
from scaletune.api.model import API_VERSION
from scaletune.api.study import Study
from scaletune.api.trial import Trial

R = TypeVar("R", Study, Trial)


class FolderError(Exception):
    """The folder cannot be used; says what to do."""


@dataclass(frozen=True)
class Folder:
    """Where a run keeps everything."""

    root: Path

    @property
    def study_file(self) -> Path:
        """The stored Study."""
        return self.root / "study.yaml"

    @property
    def trials(self) -> Path:
        """The folder of the stored Trials."""
        return self.root / "trials"

    @property
    def volume(self) -> Path:
        """What trainers see as the checkpoint volume."""
        return self.root / "volume"

    @property
    def ledger(self) -> Path:
        """The run's ledger."""
        return self.root / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the study."""
        return self.root / "lock"

    def attempt(self, trial: Trial, number: int) -> Path:
        """The files of one attempt."""
        return self.root / "attempts" / trial.metadata.name / str(number)

    def files(self, study: Study, trial: Trial) -> Path:
        """What the trial's trainers wrote: a folder for each incarnation."""
        return self.volume / study.metadata.uid / trial.metadata.name

    def log(self, trial: Trial) -> Path:
        """The log of a trial's latest attempt."""
        number = trial.status.attempts[-1].number if trial.status.attempts else 1
        return self.attempt(trial, number) / "log.txt"

    def make(self) -> None:
        """The folder itself. Raises FolderError."""
        try:
            for path in (self.trials, self.volume):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(
                f"cannot make {error.filename}: {error.strerror};"
                " give another place with --directory"
            ) from None

    def read_study(self) -> Study | None:
        """The stored Study; None before the first run."""
        return _read(Study, self.study_file) if self.study_file.exists() else None

    def read_trials(self) -> dict[int, Trial]:
        """The stored Trials by index."""
        trials = [_read(Trial, path) for path in sorted(self.trials.glob("*.yaml"))]
        return {trial.index: trial for trial in sorted(trials, key=lambda each: each.index)}

    def write_study(self, study: Study) -> None:
        """Store the Study."""
        write_file(self.study_file, _text(study))

    def write_trial(self, trial: Trial) -> None:
        """Store a Trial."""
        write_file(self.trials / f"{trial.metadata.name}.yaml", _text(trial))

    def unfinished_writes(self) -> Iterator[Path]:
        """What a killed run left beside the files."""
        yield from self.root.glob("*.partial")
        yield from self.trials.glob("*.partial")


def _read(model: type[R], path: Path) -> R:
    try:
        (document,) = reader.read_file(path)
        return model.model_validate(document)
    except (reader.UnreadableError, ValidationError, ValueError) as error:
        raise FolderError(
            f"{path} is not what a run has stored: {error}. Put it back as it was, or start anew"
            " with another --directory"
        ) from None


def _text(resource: Study | Trial) -> str:
    fields = resource.to_yaml_fields()
    parts = {part: fields[part] for part in ("metadata", "spec", "status") if fields.get(part)}
    return reader.write({"apiVersion": API_VERSION, "kind": resource.kind, **parts})


def write_file(path: Path, text: str, *, synced: bool = True) -> None:
    """Replace a file's content as a whole."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
