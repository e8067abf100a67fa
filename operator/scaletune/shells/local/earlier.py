"""Earlier studies on this machine: the folders of their runs, by the names of the folders."""

from collections.abc import Sequence
from pathlib import Path

from scaletune.api.study import Study
from scaletune.core.prior import Stored, with_prior
from scaletune.shells.local.folder import Folder

RUNS = Path("runs")


def begun(study: Study, places: Sequence[Path]) -> Study:
    """The Study with what the earlier ones in these places hand on.

    Raises NoPriorError, and FolderError where one cannot be read.
    """
    return with_prior(study, _read(study, places))


def _read(study: Study, places: Sequence[Path]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for entry in study.spec.warm_start:
        for place in places:
            folder = Folder(place / entry.study)
            stored = folder.read_study()
            if stored is not None:
                found.setdefault(entry.study, (stored, folder.read_trials().values()))
    return found
