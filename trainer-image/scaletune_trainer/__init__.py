"""Scaletune's trainer package: what a training script imports, and PID 1 of its pods.

    import scaletune_trainer as scaletune

    trial = scaletune.trial()

Names are loaded when they are first used, so that `scaletune_trainer.wire`, which shells import,
costs nothing, and a script without torch never loads it.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from scaletune_trainer import departure, runfolder

if TYPE_CHECKING:
    from scaletune_trainer.training import Trial, UserError, trial

__all__ = ["Trial", "UserError", "trial"]

if runfolder.FOLDER in os.environ:
    departure.listen()


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.training"), name)
