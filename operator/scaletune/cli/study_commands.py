"""The commands that read what is stored of studies: in folders of runs, or on a cluster.

What each does is imported when it is called.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaletune.cli.options import (
    ContextOption,
    NamespaceOption,
    Output,
    OutputOption,
    SubjectArgument,
    TrialArgument,
)

if TYPE_CHECKING:
    from scaletune.cli.subject import Cluster

app = typer.Typer()


@app.command()
def status(
    subject: SubjectArgument = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Say how a study stands: the best, the rungs, all trials."""
    from scaletune.cli.stored import show_status

    show_status(subject or [], _cluster(namespace, context))


@app.command()
def explain(
    subject: TrialArgument, namespace: NamespaceOption = None, context: ContextOption = None
) -> None:
    """Say why each decision was taken: what was compared, and against whom."""
    from scaletune.cli.stored import show_explanation

    show_explanation(subject, _cluster(namespace, context))


@app.command()
def logs(
    subject: TrialArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes.")] = False,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Of this attempt. [default: the latest]")
    ] = None,
    node: Annotated[int, typer.Option(min=0, help="Of which pod, if a trial has several.")] = 0,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Print what a trial's training script has printed."""
    from scaletune.cli.logs import Wish, show_logs

    show_logs(subject, _cluster(namespace, context), Wish(attempt, node, follow))


@app.command()
def ledger(
    subject: SubjectArgument = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Print what is stored of a study in its order, one line each, for `scaletune replay`."""
    from scaletune.cli.stored import print_ledger

    print_ledger(subject or [], _cluster(namespace, context))


@app.command()
def extrapolate(
    subject: SubjectArgument = None,
    compute: Annotated[
        float, typer.Option(metavar="N", help="How many times the dearest trainings so far.")
    ] = 10.0,
    write: Annotated[str | None, typer.Option("--write", "-w", help="File of the Study.")] = None,
    output: OutputOption = Output.TABLE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Say how the best configuration grows with cost, and write the Study for more compute."""
    from scaletune.cli.extrapolating import Wish
    from scaletune.cli.extrapolating import extrapolate as print_laws

    print_laws(subject or [], _cluster(namespace, context), Wish(compute, write, output))


@app.command()
def schedule(
    subject: SubjectArgument = None,
    trial: Annotated[str | None, typer.Option(help="Of this one. [default: the best]")] = None,
    write: Annotated[str | None, typer.Option("--write", "-w", help="File of the Study.")] = None,
    output: OutputOption = Output.TABLE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Say with which values the best of pbt was trained, and write the Study that repeats it."""
    from scaletune.cli.scheduling import Wish, print_schedule

    print_schedule(subject or [], _cluster(namespace, context), Wish(trial, write, output))


@app.command()
def compare(
    directory: Annotated[list[str], typer.Argument(metavar="DIRECTORY", help="Of runs.")],
) -> None:
    """Show the best of several runs beside each other."""
    from scaletune.cli.stored import show_comparison

    show_comparison(directory)


@app.command()
def portfolio(
    subject: Annotated[
        list[str],
        typer.Argument(
            metavar="DIRECTORY|study/NAME", help="Folders of runs, or Studies of a cluster."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, max=100, help="How many configurations.")] = 5,
    write: Annotated[
        str | None,
        typer.Option("--write", "-w", help="File of the first Study again, beginning with them."),
    ] = None,
    output: OutputOption = Output.TABLE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Print configurations of which one is good in every run, as `initial` of a Study.

    In the parameters of the first run; ranks alone count, so that any metrics go together.
    """
    from scaletune.cli.portfolio import Wish, print_portfolio

    print_portfolio(subject, _cluster(namespace, context), Wish(top, write, output))


def _cluster(namespace: str | None, context: str | None) -> "Cluster":
    from scaletune.cli.subject import PLUGIN, Cluster

    return Cluster(namespace, context, always=Path(sys.argv[0]).name == PLUGIN)
