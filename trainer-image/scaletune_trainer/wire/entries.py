"""The lines of the journal: all that an incarnation has to say, each with its sequence number.

The journal is the truth; metrics and termination message are views of it. A process that is killed
may leave a torn last line: `entries_of` leaves it out, since it was never complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scaletune_trainer.wire.fields import Fields, Json, WireError, dumps, number_to_json
from scaletune_trainer.wire.lives import Origin
from scaletune_trainer.wire.names import Reason


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """A line of the journal: what the script reported at a step."""

    sequence: int
    time: float
    step: int
    generation: int
    values: Mapping[str, float]
    device_seconds: float
    milestone: Sequence[int] = ()
    cost: float | None = None
    """What the script says that training has cost so far, at a milestone."""

    def to_json(self) -> str:
        body: dict[str, Json] = {
            "step": self.step,
            "generation": self.generation,
            "values": {name: number_to_json(value) for name, value in self.values.items()},
            "deviceSeconds": self.device_seconds,
        }
        if self.milestone:
            body["milestone"] = list(self.milestone)
        if self.cost is not None:
            body["cost"] = number_to_json(self.cost)
        return _line(self.sequence, self.time, "report", body)


@dataclass(frozen=True, slots=True)
class AcknowledgedEntry:
    """A line of the journal: a directive of this generation was read and is being followed."""

    sequence: int
    time: float
    generation: int

    def to_json(self) -> str:
        return _line(self.sequence, self.time, "acknowledged", {"generation": self.generation})


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """A line of the journal: the checkpoint of this step is complete."""

    sequence: int
    time: float
    step: int

    def to_json(self) -> str:
        return _line(self.sequence, self.time, "checkpoint", {"step": self.step})


@dataclass(frozen=True, slots=True)
class EndEntry:
    """The journal's last line: the script left as agreed, all ranks having committed."""

    sequence: int
    time: float
    reason: Reason
    step: int
    checkpoint: int | None

    def to_json(self) -> str:
        body: dict[str, Json] = {
            "reason": self.reason,
            "step": self.step,
            "checkpoint": self.checkpoint,
        }
        return _line(self.sequence, self.time, "end", body)


Told = ReportEntry | CheckpointEntry | EndEntry


@dataclass(frozen=True, slots=True)
class ReplayedEntry:
    """A line of the journal: what stands in an earlier life's; nothing, when that was all."""

    sequence: int
    time: float
    incarnation: str
    attempt: int
    entry: Told | None = None

    @property
    def origin(self) -> Origin:
        return Origin(self.incarnation, self.attempt, self.entry.sequence if self.entry else 0)

    def to_json(self) -> str:
        told: Json = None if self.entry is None else json.loads(self.entry.to_json())
        body: dict[str, Json] = {
            "incarnation": self.incarnation,
            "attempt": self.attempt,
            "entry": told,
        }
        return _line(self.sequence, self.time, "replayed", body)


Entry = ReportEntry | AcknowledgedEntry | CheckpointEntry | EndEntry | ReplayedEntry


def _line(sequence: int, time: float, kind: str, body: Mapping[str, Json]) -> str:
    return dumps({"sequence": sequence, "time": time, "kind": kind, **body})


def entries_of(text: str) -> Iterator[Entry]:
    """All complete lines of a journal."""
    complete, _, _ = text.rpartition("\n")
    for line in complete.split("\n"):
        if line:
            yield entry_from_json(line)


def entry_from_json(line: str) -> Entry:
    return _entry(Fields.parse(line, "a line of the journal"))


_KINDS = ("report", "acknowledged", "checkpoint", "end", "replayed")


def _entry(fields: Fields) -> Entry:
    sequence, time = fields.integer("sequence", minimum=1), fields.number("time")
    match fields.choice("kind", _KINDS):
        case "report":
            return ReportEntry(
                sequence,
                time,
                step=fields.integer("step"),
                generation=fields.integer("generation"),
                values=fields.numbers("values"),
                device_seconds=fields.number("deviceSeconds"),
                milestone=fields.integers("milestone"),
                cost=fields.optional_number("cost"),
            )
        case "acknowledged":
            return AcknowledgedEntry(sequence, time, fields.integer("generation"))
        case "checkpoint":
            return CheckpointEntry(sequence, time, fields.integer("step"))
        case "replayed":
            incarnation, attempt = fields.folder("incarnation"), fields.integer("attempt")
            return ReplayedEntry(sequence, time, incarnation, attempt, _told(fields))
    reason = Reason(fields.choice("reason", tuple(Reason)))
    return EndEntry(
        sequence, time, reason, fields.integer("step"), fields.optional_integer("checkpoint")
    )


def _told(fields: Fields) -> Told | None:
    inner = fields.optional_object("entry")
    entry = None if inner is None else _entry(inner)
    if isinstance(entry, AcknowledgedEntry | ReplayedEntry):
        raise WireError(f"{fields.where}: {type(entry).__name__} is not replayed")
    return entry
