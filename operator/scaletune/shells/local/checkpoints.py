"""Frees the disk of checkpoints that nobody will read again.

A trial needs the one checkpoint that its status names; a trial that lost its comparison needs none.
What others may still go on from stays, whatever has become of the trial. The journals stay.
Deleting is idempotent: what a killed run did not get to, the next news of the trial does.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from scaletune.api.trial import Checkpoint, Trial
from scaletune.core.plan import FREED


def free(trial: Trial, files: Path, lent: Sequence[Checkpoint] = ()) -> None:
    """Delete the trial's checkpoints but the one that counts, and those that are lent to others.

    No process of it may live.
    """
    counts = trial.status.checkpoint
    for incarnation in files.iterdir() if files.is_dir() else ():
        needed = counts is not None and counts.incarnation == incarnation.name
        folder = incarnation / "checkpoints"
        steps = {str(each.step) for each in lent if each.incarnation == incarnation.name}
        if steps and folder.is_dir():
            steps |= {str(counts.step)} if counts is not None and needed else set()
            for each in folder.iterdir():
                if each.name not in steps:
                    shutil.rmtree(each, ignore_errors=True)
        elif not needed or is_discarded(trial):
            shutil.rmtree(folder, ignore_errors=True)


def is_discarded(trial: Trial) -> bool:
    """Whether the trial has ended as one of the weaker, and not because the study was ended."""
    if trial.status.state == "Failed":
        return True
    lost = any(record.decision == "Stop" for record in trial.status.milestones)
    return trial.status.state == "Stopped" and (lost or trial.status.reason == FREED)
