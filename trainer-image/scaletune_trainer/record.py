"""What a journal says so far: one fold over its lines, from which everything else is read.

Metrics, termination message and the judgement over an end are all views of a `Record`, so that they
can never contradict the journal or each other, and replaying a journal gives the exposition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scaletune_trainer.wire import (
    AcknowledgedEntry,
    CheckpointEntry,
    EndEntry,
    Entry,
    Last,
    MilestoneReport,
    ReplayedEntry,
    ReportEntry,
)


@dataclass(slots=True)
class Record:
    """The state of one incarnation; `objective` is the metric whose milestones count."""

    objective: str
    sequence: int = 0
    time: float = 0.0
    step: int = 0
    reports: int = 0
    values: dict[str, float] = field(default_factory=dict)
    milestones: dict[int, MilestoneReport] = field(default_factory=dict)
    last: Last | None = None
    checkpoint: int | None = None
    generation: int = 0
    diverged: bool = False
    first_report: float | None = None
    end: EndEntry | None = None
    replayed: dict[str, int | None] = field(default_factory=dict)
    """Earlier lives whose journals were read, and the last checkpoint of each."""

    def apply(self, entry: Entry) -> None:
        """Take in the next line; one that was seen already changes nothing."""
        if entry.sequence <= self.sequence:
            return
        self.sequence, self.time = entry.sequence, entry.time
        match entry:
            case ReportEntry():
                self._apply_report(entry)
            case AcknowledgedEntry():
                self.generation = max(self.generation, entry.generation)
            case CheckpointEntry():
                self.checkpoint = entry.step
                self.step = max(self.step, entry.step)
            case EndEntry():
                self.end = entry
                self.step = entry.step
            case ReplayedEntry():
                self._apply_replayed(entry)

    def _apply_report(self, entry: ReportEntry) -> None:
        self.reports += 1
        self.step = entry.step
        self.values.update(entry.values)
        if self.first_report is None:
            self.first_report = entry.time
        value = entry.values.get(self.objective)
        if value is None:
            return
        self.last = Last(entry.step, value, entry.generation, entry.sequence)
        self.diverged = self.diverged or not math.isfinite(value)
        for level in entry.milestone:
            report = MilestoneReport(
                level,
                entry.step,
                value,
                entry.sequence,
                entry.generation,
                entry.device_seconds,
                cost=entry.cost,
            )
            self.milestones.setdefault(level, report)

    def _apply_replayed(self, replayed: ReplayedEntry) -> None:
        """What an earlier life reported counts as its own, and is no progress of this one."""
        match replayed.entry:
            case None:
                self.replayed.setdefault(replayed.incarnation, None)
            case CheckpointEntry(step=step):
                self.replayed[replayed.incarnation] = step
            case ReportEntry() as entry:
                value = entry.values.get(self.objective)
                if value is None:
                    return
                own = replayed.sequence
                self.last = Last(entry.step, value, entry.generation, own)
                for level in entry.milestone:
                    report = MilestoneReport(
                        level,
                        entry.step,
                        value,
                        own,
                        entry.generation,
                        entry.device_seconds,
                        replayed.origin,
                        entry.cost,
                    )
                    self.milestones.setdefault(level, report)

    @property
    def has_progress(self) -> bool:
        return self.reports > 0 or self.checkpoint is not None

    def unacknowledged(self, acknowledged: int) -> list[MilestoneReport]:
        reports = [r for r in self.milestones.values() if r.sequence > acknowledged]
        return sorted(reports, key=lambda report: (report.sequence, report.milestone))
