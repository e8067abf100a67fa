"""`scaletune portfolio`: a few configurations that together do best over several runs."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaletune.api import reader
from scaletune.api.space import ChoiceSpace
from scaletune.cli.figures import Figures
from scaletune.cli.found import find
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, subject_of
from scaletune.core.portfolio import Choice, portfolio


def print_portfolio(directories: Sequence[str], top: int, output: str) -> None:
    """Print it. Raises Refusal."""
    nowhere = Cluster()
    runs = [find(subject_of([each], nowhere, "study"), nowhere).figures for each in directories]
    spec = runs[0].study.spec
    for directory, run in zip(directories, runs, strict=True):
        _check(directory, run)
    found = portfolio(spec, [(each.study, each.trials) for each in runs], top)
    if not found:
        raise Refusal(f"no trial with a value fits into the parameters of {directories[0]}")
    if output == "json":
        fields = [{"parameters": each.parameters, "ranks": each.ranks} for each in found]
        sys.stdout.write(json.dumps(fields) + "\n")
        return
    sys.stdout.write("".join(f"# {line}\n" for line in _lines(directories, found)))
    sys.stdout.write(reader.write({"initial": [each.parameters for each in found]}))


def _check(directory: str, run: Figures) -> None:
    if run.best is None:
        raise Refusal(f"{directory}: no trial has a value; leave this run out")
    for parameter in run.study.spec.parameters:
        space = parameter.space
        if not isinstance(space, ChoiceSpace) and space.values is None and space.max is None:
            raise Refusal(
                f"{directory}: {parameter.name} needs min and max to measure distances by"
            )


def _lines(directories: Sequence[str], found: Sequence[Choice]) -> Iterator[str]:
    """The rank of the best of the first few in each run: 0 % is its best trial, 100 % its worst."""
    names, best = [Path(each).name for each in directories], [1.0] * len(directories)
    for number, each in enumerate(found, 1):
        best = [*map(min, best, each.ranks)]
        told = ", ".join(f"{name} {rank:.0%}" for name, rank in zip(names, best, strict=True))
        yield f"with the first {number}, ranks of the best: {told}"
