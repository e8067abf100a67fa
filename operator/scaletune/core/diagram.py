"""The picture of a trial's life, drawn from the table in `lifecycle`, so that it cannot lie.

`python -m scaletune.core.diagram FILE` rewrites the part of a Markdown file between the two
markers; `make diagram` does so for docs/architecture.md, and a test fails when that was forgotten.
Only changes are drawn: an event that leaves the state as it is has no arrow.
"""

import sys
from pathlib import Path

from scaletune.api.trial import TERMINAL
from scaletune.core.lifecycle import ANY, TRANSITIONS, Event, Transition

BEGIN = "<!-- lifecycle: begin (made by `make diagram` from core/lifecycle.py) -->"
END = "<!-- lifecycle: end -->"


def mermaid() -> str:
    """The states and what leads from one to another, as a Mermaid state diagram."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in TRANSITIONS:
        if row.state != row.to:
            arrows.setdefault((row.state, row.to), []).append(_label(row))
    lines = ["stateDiagram-v2", "    [*] --> Pending: created by the plan"]
    for (state, to), labels in arrows.items():
        lines.append(f"    {state} --> {to}: {', '.join(dict.fromkeys(labels))}")
    lines += [f"    {state} --> [*]" for state in sorted(TERMINAL)]
    return "\n".join(lines)


def section() -> str:
    """The part of the document between the markers, markers included."""
    events = "\n".join(f"- **{event}**: {MEANINGS[event]}" for event in Event)
    return f"{BEGIN}\n```mermaid\n{mermaid()}\n```\n\n{events}\n{END}"


def inserted(document: str) -> str:
    """The document with the current section. Raises ValueError when the markers are missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN!r} and {END!r}: add them where it goes")
    return f"{before}{section()}{after}"


def _label(row: Transition) -> str:
    return row.event if row.intents == ANY else f"{row.event} (meant to be {row.intents[0]})"


MEANINGS = {
    Event.STARTED: "the processes of an attempt run",
    Event.REACHED: "they left with a checkpoint at the milestone that the trial was to reach",
    Event.COMPLETED: "they left at the end of a full training",
    Event.PAUSED: "they left with a checkpoint because they were told to",
    Event.STOPPED: "they left for ever because they were told to",
    Event.FAILED: "the configuration or the script is at fault, or all retries are used",
    Event.LOST: "infrastructure ended them; a new attempt resumes from the last checkpoint",
    Event.WITHDRAWN: "there is no process, and none is wanted any more",
}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(inserted(target.read_text()))
