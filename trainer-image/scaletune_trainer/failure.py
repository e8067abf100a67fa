"""A worker's failure, as the worker itself saw it: written by its process, read by PID 1.

An exit code does not tell a lack of memory from a typing error, and the rank that is *seen* failing
first is often a victim whose peer has gone. So each worker writes what ended it, with a precise
time, into the run's folder. A worker that was killed, or that failed before it called
`scaletune.trial()`, leaves no such file; then its last words on standard error must do.
"""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType

_LINES = 12
_VOLUME_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}


class UserError(Exception):
    """The script or the study is wrong: trying again would not help."""


class VolumeError(Exception):
    """The checkpoint volume cannot be written or read: not the configuration's fault."""


class Kind(StrEnum):
    """Whose fault an exception is."""

    USER = "User"
    MEMORY = "Memory"
    INFRASTRUCTURE = "Infrastructure"
    EXCEPTION = "Exception"


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended a worker."""

    kind: Kind
    text: str
    time: float

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Failure | None:
        try:
            found = json.loads(path.read_text())
            return cls(Kind(found["kind"]), str(found["text"]), float(found["time"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def kind_of(error: BaseException) -> Kind:
    """Types of torch are known by name, so that nothing has to be imported to ask."""
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
    short = {name.rpartition(".")[2] for name in names}
    if isinstance(error, UserError):
        return Kind.USER
    if isinstance(error, MemoryError) or "OutOfMemoryError" in short:
        return Kind.MEMORY
    if isinstance(error, VolumeError) or "DistError" in short:
        return Kind.INFRASTRUCTURE
    if isinstance(error, OSError) and error.errno in _VOLUME_ERRORS:
        return Kind.INFRASTRUCTURE
    return Kind.EXCEPTION


def kind_of_text(last_words: str) -> Kind:
    """The same judgement from a traceback's last line, for workers that left no file."""
    lines = [line for line in last_words.splitlines() if line and not line[0].isspace()]
    name = lines[-1].partition(":")[0].rpartition(".")[2] if lines else ""
    return Kind.MEMORY if name in ("MemoryError", "OutOfMemoryError") else Kind.EXCEPTION


def quoted(text: str) -> str:
    """The last lines, which in Python say what happened."""
    return "\n".join(text.strip().splitlines()[-_LINES:])


def record_uncaught(path: Path) -> None:
    """From now on an exception that nobody catches is written to `path` before it is shown."""
    shown = sys.excepthook

    def hook(cls: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            text = "".join(traceback.format_exception(cls, error, trace))
            if isinstance(error, UserError | VolumeError):
                text = f"{error}"
            try:
                Failure(kind_of(error), quoted(text), time.time()).write(path)
            except OSError as cannot:
                sys.stderr.write(f"cannot write {path}: {cannot}\n")
        shown(cls, error, trace)

    sys.excepthook = hook
