"""The journal of an incarnation: rank 0's worker appends, PID 1 reads along.

Every line is one `write` to a file opened for appending: whoever reads sees whole lines or a torn
last one, and nothing waits in a buffer of ours when the process is killed. Lines that must survive
the machine (milestones, checkpoints, the end) are synced.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from scaletune_trainer import wire
from scaletune_trainer.failure import VolumeError
from scaletune_trainer.record import Record


class Journal:
    """The writing end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sequence = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            self._continue()
        except OSError as error:
            raise self._cannot_write(error) from error

    def next_sequence(self) -> int:
        return self._sequence + 1

    def append(self, entry: wire.Entry, *, synced: bool) -> None:
        line = (entry.to_json() + "\n").encode()
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):  # a full volume takes part of a line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if synced:
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._sequence = entry.sequence

    def _continue(self) -> None:
        """A journal that exists is our own (torchrun restarted the worker): go on numbering."""
        text = self._path.read_text("utf-8", "replace")
        for entry in wire.entries_of(text):
            self._sequence = max(self._sequence, entry.sequence)
        if text and not text.endswith("\n"):
            os.write(self._descriptor, b"\n")

    def _cannot_write(self, error: OSError) -> VolumeError:
        return VolumeError(
            f"cannot write the journal {self._path}: {error.strerror or error}. "
            "Is the checkpoint volume full, read-only or gone?"
        )


class JournalReader:
    """The reading end: keeps a `Record` up to date with what has been written."""

    def __init__(self, path: Path, objective: str, step: int = 0) -> None:
        self.record = Record(objective, step=step)
        self.lock = threading.RLock()
        self._path = path
        self._offset = 0
        self._rest = b""

    def refresh(self) -> bool:
        """Read what is new; says whether there was anything."""
        with self.lock:
            try:
                with self._path.open("rb") as file:
                    file.seek(self._offset)
                    data = file.read()
            except FileNotFoundError:
                return False
            self._offset += len(data)
            lines, _, self._rest = (self._rest + data).rpartition(b"\n")
            self._apply(lines.decode("utf-8", "replace"))
            return bool(data)

    def _apply(self, text: str) -> None:
        for line in filter(None, text.split("\n")):
            try:
                self.record.apply(wire.entry_from_json(line))
            except wire.WireError:
                continue  # a torn line that a restarted worker closed
