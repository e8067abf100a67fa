"""`scaletune portfolio`: a few configurations that together do best over several runs."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaletune.api import reader
from scaletune.api.space import ChoiceSpace
from scaletune.cli.figures import Figures
from scaletune.cli.found import find
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import write_new_study
from scaletune.cli.subject import Cluster, subject_of
from scaletune.core.portfolio import Choice, beginning_with, portfolio


@dataclass(frozen=True)
class Wish:
    """The options as they were given."""

    top: int
    write: str | None
    output: str


def print_portfolio(subjects: Sequence[str], cluster: Cluster, wish: Wish) -> None:
    """Print it, and write the Study if one is asked for. Raises Refusal."""
    runs = [find(subject_of([each], cluster, "study"), cluster).figures for each in subjects]
    first = runs[0].study
    for subject, run in zip(subjects, runs, strict=True):
        _check(subject, run)
    found = portfolio(first.spec, [(each.study, each.trials) for each in runs], wish.top)
    if not found:
        raise Refusal(f"no trial with a value fits into the parameters of {subjects[0]}")
    if wish.write is not None:
        write_new_study(Path(wish.write), beginning_with(first, found))
    if wish.output == "json":
        fields = [{"parameters": each.parameters, "ranks": each.ranks} for each in found]
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        sys.stdout.write("".join(f"# {line}\n" for line in _lines(subjects, found)))
        sys.stdout.write(reader.write({"initial": [each.parameters for each in found]}))
    if wish.write is not None:
        sys.stderr.write(f"wrote {wish.write}: look it over, then `scaletune run {wish.write}`\n")


def _check(subject: str, run: Figures) -> None:
    if run.best is None:
        raise Refusal(f"{subject}: no trial has a value; leave this run out")
    for parameter in run.study.spec.parameters:
        space = parameter.space
        if not isinstance(space, ChoiceSpace) and space.values is None and space.max is None:
            raise Refusal(f"{subject}: {parameter.name} needs min and max to measure distances by")


def _lines(subjects: Sequence[str], found: Sequence[Choice]) -> Iterator[str]:
    """The rank of the best of the first few in each run: 0 % is its best trial, 100 % its worst."""
    names, best = [Path(each).name for each in subjects], [1.0] * len(subjects)
    for number, each in enumerate(found, 1):
        best = [*map(min, best, each.ranks)]
        told = ", ".join(f"{name} {rank:.0%}" for name, rank in zip(names, best, strict=True))
        yield f"with the first {number}, ranks of the best: {told}"
