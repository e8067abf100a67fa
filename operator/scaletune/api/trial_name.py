"""Names of Trials, and the indices that they end in: of the search, and beyond, to confirm it."""

import re
from dataclasses import dataclass
from typing import Final

CONFIRMING_FROM: Final = 1_000_000  # the first index that is none of the search's
CONTROL: Final = CONFIRMING_FROM - 1


@dataclass(frozen=True)
class Repeat:
    """One training for confirmation: of a candidate, or of the control (no candidate)."""

    candidate: int | None
    number: int

    @property
    def index(self) -> int:
        """The index of its Trial, beyond all of the search's: those count configurations."""
        candidate = CONTROL if self.candidate is None else self.candidate
        return CONFIRMING_FROM * (self.number + 1) + candidate


def repeat_of(index: int) -> Repeat | None:
    """Which training for confirmation has this index; None where it is one of the search."""
    number, candidate = divmod(index, CONFIRMING_FROM)
    if not number:
        return None
    return Repeat(None if candidate == CONTROL else candidate, number - 1)


def trial_name(study: str, index: int) -> str:
    """A Trial's name; a repeated create of the same index is a harmless conflict."""
    repeat = repeat_of(index)
    if repeat is None:
        return f"{study}-{index:04d}"
    if repeat.candidate is None:
        return f"{study}-control-{repeat.number}"
    return f"{study}-confirm-{repeat.candidate}-{repeat.number}"


def index_of(name: str) -> int | None:
    """The index in a Trial's name, if there is one."""
    repeat = re.search(r"-(?:control|confirm-([0-9]+))-([0-9]+)$", name)
    if repeat is not None:
        return Repeat(int(repeat[1]) if repeat[1] else None, int(repeat[2])).index
    found = re.search(r"[0-9]+$", name)
    return int(found[0]) if found else None
