"""What the lives of a trial wrote into their journals, read in the folder of the checkpoints."""

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune_trainer import wire
from tests.cluster.mounts import Mount


def of_life(checkpoints: Mount, study: Study, trial: Trial, incarnation: str) -> list[wire.Entry]:
    """The journal of one life; empty where it never got so far."""
    folder = checkpoints.folder / study.metadata.uid / trial.metadata.name / incarnation
    path = wire.journal_path(folder)
    return list(wire.entries_of(path.read_text())) if path.exists() else []


def of_attempt(checkpoints: Mount, study: Study, trial: Trial, number: int) -> list[wire.Entry]:
    """The journal of the life that an attempt is known by."""
    incarnation = next(e.incarnation for e in trial.status.attempts if e.number == number)
    return of_life(checkpoints, study, trial, incarnation)


def steps(entries: list[wire.Entry]) -> list[int]:
    """The steps that were reported."""
    return [entry.step for entry in entries if isinstance(entry, wire.ReportEntry)]
