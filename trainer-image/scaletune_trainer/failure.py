"""A worker's failure, as the worker itself saw it: written by its process, read by PID 1.

An exit code does not tell a lack of memory from a typing error, and the rank that is *seen* failing
first is often a victim whose peer has gone. So each worker writes what ended it, with a precise
time, into the run's folder. A worker that was killed, or that failed before it called
`scaletune.trial()`, leaves no such file; then its last words on standard error must do.
"""

from __future__ import annotations

import errno
import json
import re
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType

_LINES = 12
_MARKS = " ~^"
"""What a line below a line of a traceback consists of, which points at the place in it."""
_VOLUME_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}
_MEMORY_ERRORS = {"MemoryError", "OutOfMemoryError"}
# Only the allocator of torch has a type for it; its libraries, and JAX, say it in words.
_SAYS_SO = {"RuntimeError", "AcceleratorError", "DistBackendError", "JaxRuntimeError"}
_NO_MEMORY = re.compile(r"out of memory|STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED", re.IGNORECASE)
_BROKEN_DEVICE = re.compile(
    r"uncorrectable ECC error|busy or unavailable|system not yet initialized", re.IGNORECASE
)
_MISUSED = re.compile(r"ncclInvalid(Usage|Argument)")
_EXCEPTION = re.compile(r"([\w.]+\.)?(?P<name>\w*Error)(: (?P<words>.*))?", re.DOTALL)


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
    names = {cls.__qualname__.rpartition(".")[2] for cls in type(error).__mro__}
    if isinstance(error, UserError):
        return Kind.USER
    if isinstance(error, OSError) and error.errno in _VOLUME_ERRORS:
        return Kind.INFRASTRUCTURE
    return _kind(names, str(error))


def kind_of_text(last_words: str) -> Kind:
    """The same judgement from a traceback's end, for workers that left no file.

    Libraries that say good-bye may have added lines, and the exception may have several.
    """
    lines = last_words.splitlines()
    for at in reversed(range(len(lines))):
        if found := _EXCEPTION.fullmatch("\n".join(lines[at:])):
            return _kind({found["name"]}, found["words"] or "")
    return Kind.EXCEPTION


def _kind(names: set[str], words: str) -> Kind:
    """By the exception's type, its parents among the names, and by what it says."""
    says_so = not names.isdisjoint(_SAYS_SO)
    if not names.isdisjoint(_MEMORY_ERRORS) or (says_so and _NO_MEMORY.search(words)):
        return Kind.MEMORY
    if says_so and _BROKEN_DEVICE.search(words):
        return Kind.INFRASTRUCTURE
    if names.isdisjoint({"VolumeError", "DistError"}) or _MISUSED.search(words):
        return Kind.EXCEPTION
    return Kind.INFRASTRUCTURE


def quoted(text: str) -> str:
    """The last lines, which in Python say what happened."""
    lines = [line for line in text.strip().splitlines() if line.strip(_MARKS)]
    return "\n".join(lines[-_LINES:])


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
