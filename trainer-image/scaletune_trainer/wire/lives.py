"""Earlier lives of a trial whose last words were not heard, and what a later one tells of them.

When a node is lost, its pod's last reports are in the journal on the volume and nowhere else. The
next life reads that journal, and tells what is in it under the numbers of the one who wrote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scaletune_trainer.wire.fields import Fields, Json, WireError


@dataclass(frozen=True, slots=True)
class Life:
    """An incarnation whose journal is to be read: all that comes after a sequence number."""

    incarnation: str
    attempt: int
    after: int = 0

    def document(self) -> dict[str, Json]:
        return {"incarnation": self.incarnation, "attempt": self.attempt, "after": self.after}

    @classmethod
    def read(cls, fields: Fields) -> Life:
        return cls(
            incarnation=fields.folder("incarnation"),
            attempt=fields.integer("attempt", minimum=1),
            after=fields.integer("after", default=0),
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose report it is that a later life tells: (incarnation, sequence) is its key."""

    incarnation: str
    attempt: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.incarnation}/{self.attempt}/{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,252})/([1-9]\d{0,9})/(\d{1,18})", text)
        if found is None:
            raise WireError(f"{text!r} is no origin: write <incarnation>/<attempt>/<sequence>")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class Replayed:
    """An earlier life whose journal was read to its end, and the last checkpoint that it tells."""

    incarnation: str
    checkpoint: int | None = None

    def document(self) -> dict[str, Json]:
        return {"incarnation": self.incarnation, "checkpoint": self.checkpoint}

    @classmethod
    def read(cls, fields: Fields) -> Replayed:
        return cls(fields.folder("incarnation"), fields.optional_integer("checkpoint"))
