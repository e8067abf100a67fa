"""The directive file: read again whenever it changed, older generations ignored.

The shell replaces the file at any time; the downward API does it by swapping a symbolic link. A
file that is missing, half there or unreadable changes nothing: what was wanted before holds on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scaletune_trainer import wire


class DirectiveFile:
    """The latest directive, and the file it comes from."""

    def __init__(self, path: Path | None, initial: wire.Directive) -> None:
        self.latest = initial
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._complained = ""

    def read(self) -> wire.Directive:
        """The newest directive; one call costs a `stat` when nothing changed."""
        if self._path is None:
            return self.latest
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                text = self._path.read_text("utf-8")
                # The downward API shows an annotation that is not there as an empty file.
                found = wire.Directive.from_json(text) if text.strip() else self.latest
                self._seen = seen
                if found.generation >= self.latest.generation:
                    self.latest = found
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._complain(str(error))
        return self.latest

    def _complain(self, text: str) -> None:
        if text != self._complained:
            self._complained = text
            sys.stderr.write(f"the directive {self._path} is ignored: {text}\n")
