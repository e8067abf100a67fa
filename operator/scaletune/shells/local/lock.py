"""One run on a folder at a time: the kernel holds the lock as long as the process lives.

The file says who holds it, for the message to the second; it is the lock that counts, not the file,
so that nothing has to be cleaned up after a kill.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scaletune.shells.local.folder import FolderError


class FolderInUse(FolderError):
    """Another process runs the study of this folder."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock. Raises FolderInUse at once when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise FolderError(f"cannot write {path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderInUse(_who(path)) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.truncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "since": since}).encode())
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who runs the study of this folder; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _named(path)
    finally:
        os.close(descriptor)
    return None


def _named(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(path.read_text(encoding="utf-8"))
        return f"process {known['pid']} (since {known['since']})"
    return "another process"


def _who(path: Path) -> str:
    return (
        f"{path.parent} is being run by {_named(path)}; wait for it, end it with Ctrl-C, or run"
        " another copy with --directory"
    )
