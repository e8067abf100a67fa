"""Ending in order when asked to: SIGTERM becomes what Ctrl-C is, so that every clean-up runs."""

import signal
from types import FrameType


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def end_as_if_interrupted() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
