"""What earlier lives of a trial left in their journals and nobody heard: PID 1 tells it again.

A node that is lost takes the last words of its pods along. The shell names those lives, and the
volume names the earlier ones of this attempt (its Job was suspended, and goes on in a new pod).
Their milestones, last checkpoint and end are copied into this life's journal, and so into its
metrics and its message, before any worker starts. The later life's checkpoint counts; if the trial
had come to its end, there is nothing left to train.

An earlier life may still be writing, on a node that nobody reaches: what it appends from here on is
not read any more.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scaletune_trainer import wire
from scaletune_trainer.environment import Environment
from scaletune_trainer.failure import VolumeError
from scaletune_trainer.journal import Journal
from scaletune_trainer.wire import Life, Place, Reason, State

Told = wire.Told | wire.ReplayedEntry


@dataclass(frozen=True, slots=True)
class Legacy:
    """Where training goes on, and how it ended if it had come to an end."""

    restore: Place | None = None
    end: wire.EndEntry | None = None


def inherit(environment: Environment, directive: wire.Directive) -> Legacy:
    """Copy what earlier lives have to tell. Raises VolumeError."""
    spec, own = environment.spec, environment.incarnation
    try:
        lives = [*spec.replay, *_earlier(environment)]
        legacy = Legacy(spec.restore)
        if not lives:
            return legacy
        journal = Journal(wire.journal_path(environment.folder))
        for life in lives:
            path = wire.journal_path(spec.incarnation_folder(environment.volume, life.incarnation))
            entries = list(_worth_telling(path, life, spec.metric))
            for entry in (*entries, None):
                _append(journal, life, entry)
            legacy = _after(legacy, life, entries, spec.metric)
        if legacy.end is None or not _is_final(legacy.end, directive):
            return replace(legacy, end=None)
        end = replace(legacy.end, sequence=journal.next_sequence(), time=time.time())
        journal.append(end, synced=True)
        return legacy
    except OSError as error:
        raise VolumeError(
            f"cannot read what earlier lives of {spec.trial} left for {own}: "
            f"{error.strerror or error}. Is the checkpoint volume mounted and readable?"
        ) from error


def _earlier(environment: Environment) -> Iterator[Life]:
    """The lives of this very attempt before this one, which is noted down as the latest."""
    spec = environment.spec
    path = wire.lives_path(spec.folder(environment.volume), spec.attempt)
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        for line in file.read().split():
            if line != environment.incarnation:
                yield Life(line, spec.attempt)
        file.write(environment.incarnation + "\n")
        file.flush()
        os.fsync(file.fileno())


def _worth_telling(path: Path, life: Life, metric: str) -> Iterator[Told]:
    """Reports of milestones, what an earlier life had told of another, the last report of the
    objective, the last checkpoint and the end; in the order of their numbers."""
    latest: dict[type, wire.Told] = {}
    for entry in _entries(path):
        match entry:
            case wire.ReplayedEntry():
                if entry.entry is not None:
                    yield entry
            case wire.ReportEntry() if entry.sequence > life.after and metric in entry.values:
                latest[wire.ReportEntry] = entry
                if entry.milestone:
                    yield latest.pop(wire.ReportEntry)
            case wire.CheckpointEntry() | wire.EndEntry():
                latest[type(entry)] = entry
    yield from sorted(latest.values(), key=lambda entry: entry.sequence)


def _entries(path: Path) -> Iterator[wire.Entry]:
    """Complete lines; a life that never got so far has none."""
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    for line in text.rpartition("\n")[0].split("\n"):
        try:
            yield wire.entry_from_json(line)
        except wire.WireError:
            continue  # a torn line that a restarted worker closed


def _append(journal: Journal, life: Life, entry: Told | None) -> None:
    sequence, now = journal.next_sequence(), time.time()
    if isinstance(entry, wire.ReplayedEntry):
        told = replace(entry, sequence=sequence, time=now)
    else:
        told = wire.ReplayedEntry(sequence, now, life.incarnation, life.attempt, entry)
    journal.append(told, synced=entry is None)


def _after(legacy: Legacy, life: Life, entries: list[Told], metric: str) -> Legacy:
    """The later life counts: from its checkpoint training goes on, its end was the last."""
    restore, end = legacy.restore, None
    for entry in entries:
        match entry:
            case wire.ReplayedEntry(entry=wire.CheckpointEntry(step=step)):
                restore = Place(entry.incarnation, step)
            case wire.CheckpointEntry(step=step):
                restore = Place(life.incarnation, step)
            case wire.ReportEntry(values=values) if not math.isfinite(values.get(metric, 0.0)):
                end = wire.EndEntry(entry.sequence, entry.time, Reason.DIVERGED, entry.step, None)
            case wire.EndEntry():
                end = entry
    return Legacy(restore, end)


def _is_final(end: wire.EndEntry, directive: wire.Directive) -> bool:
    """Whether nothing is left to do after it, by what is wanted now."""
    match end.reason:
        case Reason.DONE | Reason.DIVERGED:
            return True
        case Reason.PAUSED:
            return directive.state is not State.RUNNING or end.step >= directive.until
        case Reason.STOPPED:
            return directive.state is State.STOPPED
    return False
