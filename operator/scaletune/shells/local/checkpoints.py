"""Frees the disk of checkpoints that nobody will read again.

A trial needs the one checkpoint that its status names, and none once it is discarded. What others
may still go on from stays, whatever has become of the trial. The journals stay. Deleting is
idempotent: what a killed run did not get to, the next news of the trial or the study's end does.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from scaletune.api.configuration import Checkpoint


def free(files: Path, counts: Checkpoint | None, lent: Sequence[Checkpoint] = ()) -> None:
    """Delete a trial's checkpoints but the one that counts, and those that are lent to others.

    No process of it may live.
    """
    for incarnation in files.iterdir() if files.is_dir() else ():
        needed = counts is not None and counts.incarnation == incarnation.name
        folder = incarnation / "checkpoints"
        steps = {str(each.step) for each in lent if each.incarnation == incarnation.name}
        if steps and folder.is_dir():
            steps |= {str(counts.step)} if counts is not None and needed else set()
            for each in folder.iterdir():
                if each.name not in steps:
                    shutil.rmtree(each, ignore_errors=True)
        elif not needed:
            shutil.rmtree(folder, ignore_errors=True)
