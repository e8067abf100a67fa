"""`scaletune schedule`: with which values a trial was trained, and a Study that repeats it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.cli import words
from scaletune.cli.figures import Figures
from scaletune.cli.found import find
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import write_new_study
from scaletune.cli.subject import Cluster, subject_of
from scaletune.core.confirmation import finder
from scaletune.core.lineage import Piece, lineage
from scaletune.core.schedule import course
from scaletune.core.scheduled_study import scheduled_study


@dataclass(frozen=True)
class Wish:
    """The options as they were given."""

    trial: str | None
    write: str | None
    output: str


def print_schedule(subject: Sequence[str], cluster: Cluster, wish: Wish) -> None:
    """Print the schedule of the best trial, or of another, and write the Study. Raises Refusal."""
    found = find(subject_of([*subject], cluster, "study"), cluster)
    figures = found.figures
    trial = _best(figures) if wish.trial is None else found.trial(wish.trial)
    pieces = lineage(finder(figures.ledger), trial)
    if pieces[-1].until == 0:
        raise Refusal(f"{trial.metadata.name} has not reached a milestone yet")
    study = scheduled_study(figures.study, course(figures.study.spec, pieces))
    path = Path(wish.write or f"{study['metadata']['name']}.yaml")
    write_new_study(path, study)
    if wish.output == "json":
        sys.stdout.write(json.dumps(_json(trial, pieces), allow_nan=False) + "\n")
    else:
        words.screen().print(_table(figures, pieces))
    if pieces[0].start:
        sys.stderr.write(
            f"scaletune: what came before {pieces[0].start} was deleted with its Trial; the Study"
            " trains there with the values that follow\n"
        )
    sys.stderr.write(f"wrote {path}: look it over, then `scaletune run {path}` or kubectl apply\n")


def _best(figures: Figures) -> Trial:
    if figures.best is None:
        raise Refusal(f"{figures.study.metadata.name}: no trial has a value yet")
    best = figures.best[0]
    found = figures.confirmation
    winner = None if found is None else next(iter(found.configurations), None)
    if winner is not None and winner.standing == "Winner" and winner.candidate is not None:
        return finder(figures.ledger)(winner.candidate) or best
    return best


def _table(figures: Figures, pieces: Sequence[Piece]) -> Table:
    unit, name = figures.study.spec.training.unit.lower(), figures.study.metadata.name
    names = [each.name for each in figures.study.spec.parameters]
    table = words.table(f"after {unit}", "up to", "trained as", *names)
    for piece in pieces:
        table.add_row(
            str(piece.start),
            str(piece.until),
            trial_name(name, piece.trial),
            *(words.parameter(piece.used[each]) for each in names),
        )
    return table


def _json(trial: Trial, pieces: Sequence[Piece]) -> dict[str, Any]:
    return {
        "trial": trial.metadata.name,
        "schedule": [
            {
                "after": each.start,
                "until": each.until,
                "trial": trial_name(trial.spec.study, each.trial),
                "parameters": {value.name: value.value for value in each.parameters},
                "used": each.used,
            }
            for each in pieces
        ],
    }
