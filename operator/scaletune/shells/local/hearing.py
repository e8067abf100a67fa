"""What trainers say: scraped from the metrics endpoint, or read when they have gone.

The parser of the exposition is the core's, the same as the operator uses. When the last words are
missing (the process was killed) or were cut, the journal is read instead: it lies on this machine.
"""

from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from scaletune.core.reports import ForeignTelemetry, Telemetry, from_exposition, from_message
from scaletune_trainer import wire

SCRAPE_SECONDS_MAX = 2.0

_opener = build_opener(ProxyHandler({}))  # a proxy of the environment does not know this machine


def scrape(incarnation_folder: Path) -> Telemetry | None:
    """What the endpoint says; None while it says nothing (yet, or any more)."""
    try:
        address = wire.endpoint_path(incarnation_folder).read_text(encoding="utf-8").strip()
        with _opener.open(f"http://{address}/metrics", timeout=SCRAPE_SECONDS_MAX) as answer:
            return from_exposition(answer.read().decode())
    except (OSError, URLError, HTTPException, ForeignTelemetry, ValueError):
        return None


def last_words(path: Path) -> wire.TerminationMessage | None:
    """The termination message; None when there is none or it was not written to its end."""
    try:
        return wire.TerminationMessage.from_json(path.read_text(encoding="utf-8"))
    except (OSError, wire.WireError, ValueError):
        return None


def of_the_departed(
    incarnation: str, folder: Path, metric: str, message: wire.TerminationMessage | None
) -> tuple[Telemetry, wire.TerminationMessage | None]:
    """What an incarnation that has gone left behind: all its reports, and how it ended."""
    if message is not None and not message.truncated:
        return from_message(incarnation, message), message
    telemetry, end = _from_journal(incarnation, wire.journal_path(folder), metric)
    if message is None and end is not None:  # killed after all had been agreed and written
        message = wire.TerminationMessage(reason=end.reason, step=end.step)
    return telemetry, message


def _from_journal(
    incarnation: str, path: Path, metric: str
) -> tuple[Telemetry, wire.EndEntry | None]:
    milestones: dict[int, wire.MilestoneReport] = {}
    last, checkpoint, sequence, step, end = None, None, 0, 0, None
    for entry in _entries(path):
        sequence = max(sequence, entry.sequence)
        match entry:
            case wire.ReportEntry():
                step = entry.step
                value = entry.values.get(metric)
                if value is None:
                    continue
                for level in entry.milestone:
                    milestones.setdefault(level, _report(entry, level, value))
                last = _report(entry, entry.step, value)
            case wire.CheckpointEntry():
                checkpoint = entry.step
            case wire.EndEntry():
                end = entry
    telemetry = Telemetry(
        incarnation=incarnation,
        step=step,
        milestones=tuple(milestones.values()),
        last=last,
        sequence=sequence,
        checkpoint=checkpoint,
    )
    return telemetry, end


def _entries(path: Path) -> list[wire.Entry]:
    try:
        return list(wire.entries_of(path.read_text(encoding="utf-8", errors="replace")))
    except (OSError, wire.WireError):
        return []


def _report(entry: wire.ReportEntry, level: int, value: float) -> wire.MilestoneReport:
    return wire.MilestoneReport(
        milestone=level,
        step=entry.step,
        value=value,
        sequence=entry.sequence,
        generation=entry.generation,
        device_seconds=entry.device_seconds,
        cost=entry.cost,
    )
