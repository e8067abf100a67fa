"""Ending in order when asked to: SIGTERM becomes what Ctrl-C is, so that every clean-up runs.

Ctrl-C itself is set as well: Python leaves it ignored in a process that was started in the
background of a script.
"""

import signal
from types import FrameType


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def end_as_if_interrupted() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
