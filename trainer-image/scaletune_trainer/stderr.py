"""What the workers write to standard error: passed on, and the end of it remembered.

A named pipe per worker rather than files, which would grow without bound; whole lines, so that two
ranks never mix within one.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
from pathlib import Path

from scaletune_trainer import runfolder

_KEPT_BYTES = 8192
_CHUNK = 65536


class StandardErrors:
    """The standard error of all workers of this node."""

    def __init__(self, folder: Path, processes: int) -> None:
        self._prefix = processes > 1
        self._kept = dict.fromkeys(range(processes), b"")
        self._unfinished = dict.fromkeys(range(processes), b"")
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for rank in range(processes):
            pipe = runfolder.stderr_pipe(folder, rank)
            os.mkfifo(pipe)
            # Opened for writing too: else the pipe would be at its end whenever no worker holds it.
            descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
            self._selector.register(descriptor, selectors.EVENT_READ, rank)
        self._thread = threading.Thread(target=self._pass_on, name="stderr", daemon=True)
        self._thread.start()

    def last_words(self, local_rank: int) -> str:
        return self._kept[local_rank].decode("utf-8", "replace")

    def close(self) -> None:
        """Pass on what is still in the pipes, then stop; the workers have gone."""
        os.write(self._waker, b"x")
        self._thread.join(timeout=5)

    def _pass_on(self) -> None:
        closing = False
        while True:
            events = self._selector.select(timeout=0 if closing else None)
            if closing and not events:
                break
            for key, _ in events:
                if key.data is None:
                    closing = True
                    self._selector.unregister(self._wake)
                else:
                    self._take(key.data, os.read(key.fd, _CHUNK))
        for rank, rest in self._unfinished.items():
            self._show(rank, rest)

    def _take(self, rank: int, data: bytes) -> None:
        self._kept[rank] = (self._kept[rank] + data)[-_KEPT_BYTES:]
        lines, newline, rest = (self._unfinished[rank] + data).rpartition(b"\n")
        if len(rest) > _CHUNK or b"\r" in rest:  # a progress bar never ends its line
            lines, newline, rest = lines + newline + rest, b"", b""
        self._unfinished[rank] = rest
        self._show(rank, lines + newline)

    def _show(self, rank: int, data: bytes) -> None:
        if not data:
            return
        if self._prefix:
            data = b"".join(b"[rank %d] " % rank + line for line in data.splitlines(True))
        try:
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        except OSError:
            pass  # nobody listens; the last words are kept all the same
