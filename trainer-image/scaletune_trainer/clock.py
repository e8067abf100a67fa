"""Device time: worker processes times the seconds since PID 1 started.

Wall clock time, because it is compared between processes, and by people.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from scaletune_trainer import runfolder


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """Counts what a trial costs while it runs."""

    started: float
    processes: int

    def device_seconds(self) -> float:
        return round(self.processes * max(0.0, time.time() - self.started), 3)

    @classmethod
    def inherited(cls, processes: int, variables: Mapping[str, str] = os.environ) -> DeviceClock:
        """The clock of the PID 1 that started this worker, else one that starts now."""
        return cls(float(variables.get(runfolder.STARTED) or time.time()), processes)
