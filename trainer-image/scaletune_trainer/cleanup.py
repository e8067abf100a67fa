"""Deletes the checkpoints of trials whose study has ended, for the operator's Job.

    SCALETUNE_CLEANUP='{"study": UID, "trials": [NAME, ...]}' python -m scaletune_trainer.cleanup

Journals stay: they are small, and tell what was trained. What is gone already is no error, so that
it can be begun again at any time. A symbolic link is not followed: who can write to the volume must
not choose what is deleted elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from scaletune_trainer import wire


def main() -> int:
    """Exit code 1 when something could not be deleted; its last lines say what, and why."""
    wanted = json.loads(os.environ[wire.Variable.CLEANUP])
    study = Path(os.environ[wire.Variable.VOLUME]) / wanted["study"]
    complaints = [line for trial in wanted["trials"] for line in _free(study / trial)]
    sys.stderr.write("".join(f"{line}\n" for line in complaints[-20:]))
    return 1 if complaints else 0


def _free(trial: Path) -> Iterator[str]:
    for incarnation in sorted(trial.iterdir()) if trial.is_dir() else ():
        folder = wire.checkpoints_folder(incarnation)
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
        except OSError as error:
            yield f"cannot delete {folder}: {error.strerror or error}"


if __name__ == "__main__":
    sys.exit(main())
