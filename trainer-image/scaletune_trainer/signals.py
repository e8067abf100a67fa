"""Signals that ask PID 1 to leave: an exception while it waits, a note at any other time.

SIGTERM comes from the kubelet or a shell, SIGINT from a keyboard; both mean: checkpoint and leave.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKING_TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class AskedToLeave(BaseException):
    """Raised in the main thread when a signal asks to leave while `Signals.raising` holds."""


class Signals:
    """What has been asked so far."""

    def __init__(self) -> None:
        self.received = False
        self._raises = False
        self.listen()

    def listen(self) -> None:
        """Install our handlers; torchrun replaces them while it runs, so call it again after."""
        for number in ASKING_TO_LEAVE:
            signal.signal(number, self._note)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Within, the first signal interrupts what the main thread waits for."""
        self._raises = True
        try:
            if self.received:
                raise AskedToLeave
            yield
        finally:
            self._raises = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if self._raises:
            self._raises = False
            raise AskedToLeave
