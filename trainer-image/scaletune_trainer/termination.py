"""The last words of PID 1: the termination message, written where the kubelet looks for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from scaletune_trainer import wire
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.record import Record
from scaletune_trainer.verdict import Verdict


def message(
    record: Record, verdict: Verdict, clock: DeviceClock, acknowledged: int, workers_started: float
) -> wire.TerminationMessage:
    times = {
        "startMs": _milliseconds(clock.started),
        "endMs": _milliseconds(time.time()),
    }
    if workers_started:
        times["workersMs"] = _milliseconds(workers_started)
    if record.first_report is not None:
        times["firstReportMs"] = _milliseconds(record.first_report)
    if record.end is not None:
        times["agreedMs"] = _milliseconds(record.end.time)
    return wire.TerminationMessage(
        reason=verdict.reason,
        step=record.step,
        checkpoint=record.checkpoint,
        sequence=record.sequence,
        generation=record.generation,
        device_seconds=clock.device_seconds(),
        times=times,
        reports=tuple(record.unacknowledged(acknowledged)),
        last=record.last,
        replayed=[wire.Replayed(*each) for each in record.replayed.items()],
        error=verdict.error,
    ).fitted()


def write(path: Path, message: wire.TerminationMessage) -> None:
    """A message that cannot be written is said aloud; the exit code and the journal remain."""
    text = message.to_json()
    try:
        path.write_text(text)
    except OSError as error:
        sys.stderr.write(f"cannot write the termination message to {path}: {error}\n{text}\n")


def linger(
    acknowledged: Callable[[], int], sequence: int, asked_to_leave: Callable[[], bool]
) -> None:
    """Go on serving metrics until all reports are stored: only when the message was cut."""
    deadline = time.monotonic() + wire.LINGER_SECONDS
    while time.monotonic() < deadline and acknowledged() < sequence and not asked_to_leave():
        time.sleep(0.1)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
