"""The folder that PID 1 and its workers share for the length of a run, and nobody else reads.

It holds a named pipe per worker for standard error, the workers' failures and the end they agreed
on. It lies in the machine's temporary folder, never on the checkpoint volume, and goes when PID 1
leaves.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "SCALETUNE_RUN_FOLDER"
STARTED = "SCALETUNE_STARTED"
"""Seconds since the epoch at which PID 1 started: from then on devices are held."""

RESTORE = "SCALETUNE_RESTORE"
"""The checkpoint from which PID 1 found that rank 0 has to go on, as <incarnation>/<step>."""


def stderr_pipe(folder: Path, local_rank: int) -> Path:
    return folder / f"stderr-{local_rank}"


def failure_file(folder: Path, local_rank: int) -> Path:
    return folder / f"failure-{local_rank}.json"


def agreed_end(folder: Path) -> Path:
    """Which end all ranks agreed on: a node without rank 0 has no journal to read it from."""
    return folder / "agreed-end"


def say_agreed_end(reason: str) -> None:
    if (folder := os.environ.get(FOLDER)) and os.environ.get("LOCAL_RANK", "0") == "0":
        agreed_end(Path(folder)).write_text(reason)


def own_failure_file() -> Path | None:
    """Where this worker writes its failure; none when the script runs without PID 1."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return None
    return failure_file(Path(folder), int(os.environ.get("LOCAL_RANK", "0")))
