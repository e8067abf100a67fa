"""The first moments of PID 1, before it can write a message: a SIGTERM is heeded all the same.

The kernel drops a signal that process 1 of a container has no handler for, and the kubelet sends it
only once: a pod that is deleted while Python still imports would hold its devices for the whole
grace period. Nothing was started yet, so nothing is lost. Imported before everything else.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_TERMINATED = 143


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_TERMINATED)


if os.getpid() == 1:
    signal.signal(signal.SIGTERM, _leave)
