"""Edits: the Study's file is read again when it changes, so that wishes hold while a run goes on.

What may be edited is what `kubectl apply` would take on a cluster. A file that cannot be read, or
asks for what cannot be changed, changes nothing; what is wrong with it is said once.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scaletune.api.study import Study

LOOK_SECONDS = 1.0


class ChangedError(Exception):
    """The Study differs from the stored one where it must not."""


@dataclass
class Edits:
    """The file of a Study, and how to read it. Make it before the file is read at first."""

    path: Path
    read: Callable[[], Study]
    """Raises ChangedError when the file holds no Study that can be run."""
    said: str = ""
    """What came of the latest edit, in words."""
    _seen: tuple[int, int] = field(init=False)
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self._seen = self._stamp()

    def new(self) -> Study | None:
        """The Study, when its file has changed since the last look. Raises ChangedError."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        seen = self._stamp()
        if seen in (self._seen, (0, 0)):  # one that is away for a moment is being replaced
            return None
        self._seen = seen
        return self.read()

    def _stamp(self) -> tuple[int, int]:
        try:
            status = os.stat(self.path)
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino
