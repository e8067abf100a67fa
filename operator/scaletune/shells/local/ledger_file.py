"""The run's ledger: what arrived, in its order; `scaletune replay` reads it.

    {"at": 12.5, "trial": 3, "created": true}                   it took a place
    {"at": 19.0, "trial": 3, "step": 9, "value": 2.31, "leaving": true}
    {"at": 19.5, "trial": 3, "left": true}                      it gave its place back
    {"at": 19.5, "trial": 4, "failure": "UserError"}

Lines of equal `at` are one turn of the loop. They are written before the turn's records are stored:
when the run is killed in between, the next one takes the last turn's lines in again, which changes
nothing where they had been stored. Every report is marked `leaving`, because this shell says itself
when a place is given back.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scaletune.shells.local.folder import FolderError

Line = dict[str, Any]


class LedgerFile:
    """Appends to the ledger of a folder; made anew it knows what the file holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = self._read()
        self.at: float = lines[-1]["at"] if lines else 0.0
        """The time of the last lines."""
        self.last_turn = [line for line in lines if line["at"] == self.at]
        """The lines of the last turn."""
        self._created = {line["trial"] for line in lines if line.get("created")}

    def _read(self) -> list[Line]:
        """All lines, after cutting off one that was torn by a kill."""
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
        try:
            lines: list[Line] = [json.loads(line) for line in whole.splitlines() if line.strip()]
            for line in lines:
                line["at"], line["trial"]
        except (ValueError, TypeError, KeyError) as error:
            raise FolderError(f"{self._path} is not what a run has written: {error}") from None
        return lines

    def append(self, at: float, lines: Iterable[Line]) -> None:
        """Store lines of the turn `at`; a trial is said to be created only once."""
        new = [
            {"at": at, **line}
            for line in lines
            if not (line.get("created") and line["trial"] in self._created)
        ]
        if not new:
            return
        with self._path.open("ab") as file:
            file.write("".join(json.dumps(line) + "\n" for line in new).encode())
            file.flush()
            os.fsync(file.fileno())
        self.at = at
        self._created |= {line["trial"] for line in new if line.get("created")}
