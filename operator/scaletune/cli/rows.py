"""Rows: values that another tuner has recorded, one each, as a file holds them.

CSV has a header; JSON lines have one object each, which may hold the parameters in `parameters`.
What the columns mean is not looked at here.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaletune.cli.refusal import Refusal


@dataclass(frozen=True)
class Row:
    """A row, and where it stands, for a message."""

    where: str
    fields: Mapping[str, Any]


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a file. Raises Refusal."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        for fields in reader:
            yield Row(f"{path}, line {reader.line_num}", fields)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _object(f"{path}, line {number}", line)


def _object(where: str, line: str) -> Row:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise Refusal(f"{where}: not JSON: {error}; a CSV file's name ends in .csv") from None
    if not isinstance(fields, dict):
        raise Refusal(f"{where}: must be an object, not {line:.60}")
    inner = fields.get("parameters")
    return Row(where, {**fields, **(inner if isinstance(inner, dict) else {})})
