"""A quick way out for a worker whose end was agreed on and committed.

The interpreter's own good-bye takes up to a second once torch is loaded, while a device idles. All
exit handlers that were registered after this package was imported have run by then; what is left
are those of libraries, of which only logging's matters.
"""

from __future__ import annotations

import atexit
import os
import sys

_agreed = False


def listen() -> None:
    """Called when the package is imported in a worker, so as to come last."""
    atexit.register(_leave)


def agree() -> None:
    """The journal has the end: the exit code says nothing more."""
    global _agreed
    _agreed = True


def _leave() -> None:
    if not _agreed:
        return
    if logging := sys.modules.get("logging"):
        logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)
