"""Logs: one JSON object a line, or text for people, from our own loggers and from kopf's.

Every line has time, level, logger and message; where it is about a study or a trial, it has
`namespace`, `study` and `trial` too. What the API server or the network refuses is told in words
without a traceback: tracebacks are for bugs.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO

from scaletune.shells.kubernetes.server.client import EXPECTED

SUBJECT: Final = ("namespace", "study", "trial")
# kopf says what it does a line for each object; that it leaves signals to us; that it has stopped;
# what it tries again. When it gives up, we say so ourselves.
QUIET: Final = {
    "kopf.objects": logging.WARNING,
    "kopf._core.reactor.running": logging.ERROR,
    "kopf.activities.startup": logging.WARNING,
    "kopf._core.engines.activities": logging.WARNING,
    "kopf._cogs.clients": logging.CRITICAL,
}


class Format(StrEnum):
    """How lines look."""

    JSON = "json"
    TEXT = "text"


def configure(form: Format, level: str, stream: TextIO = sys.stderr) -> None:
    """Make all loggers of the process write to one place."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == Format.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() + _refusal(record),
            **_subject(record),
        }
        if record.exc_info and not _is_expected(record):
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people, which begins with what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        about = "/".join(_subject(record).values())
        words = f"{_time(record)} {record.levelname:7} {about + ': ' if about else ''}"
        words += record.getMessage() + _refusal(record)
        if record.exc_info and not _is_expected(record):
            words += "\n" + self.formatException(record.exc_info)
        return words


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _subject(record: logging.LogRecord) -> dict[str, str]:
    found = {name: getattr(record, name, "") for name in SUBJECT}
    return {name: str(value) for name, value in found.items() if value}


def _is_expected(record: logging.LogRecord) -> bool:
    """Whatever befalls kopf, it is begun anew; there is nothing in it that is ours."""
    if record.exc_info is None:
        return False
    return record.name.startswith("kopf.") or isinstance(record.exc_info[1], EXPECTED)


def _refusal(record: logging.LogRecord) -> str:
    """In place of a traceback: what was refused."""
    if not _is_expected(record) or record.exc_info is None:
        return ""
    error = record.exc_info[1]
    words = str(error) or repr(error)
    return "" if words in record.getMessage() else f": {words}"
