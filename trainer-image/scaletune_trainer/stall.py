"""Ends the workers when the journal has had no new line for too long: a hung collective, mostly.

SIGKILL, because a process that hangs in a collective hears nothing else; what was reported and
committed before is safe in the journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from scaletune_trainer.journal import JournalReader


class StallWatch:
    """Reads the journal along, about four times within the time allowed."""

    def __init__(self, reader: JournalReader, seconds: float, end: Callable[[], None]) -> None:
        self.stalled = False
        self._reader = reader
        self._seconds = seconds
        self._end = end
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall", daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        latest = time.monotonic()
        while not self._stopped.wait(min(1.0, self._seconds / 4)):
            try:
                news = self._reader.refresh()
            except OSError:
                news = False  # the volume hangs or has gone: no progress either
            if news:
                latest = time.monotonic()
            elif time.monotonic() - latest > self._seconds:
                self.stalled = True
                self._end()
                return
