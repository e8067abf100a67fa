"""The commands and their options. What each does is imported when it is called."""

from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(
    name="scaletune",
    help="Hyperparameter tuning for large training runs, on a laptop or on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="A table to read, or JSON for scripts.")
]


@app.command()
def plan(
    file: Annotated[
        list[str],
        typer.Option("--file", "-f", help="A Study and its Trials as YAML; - for standard input."),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="More of them.", show_default=False)
    ] = None,
    now: Annotated[
        float | None, typer.Option(help="Seconds since the epoch. [default: the clock]")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what would be decided and done for a snapshot: a Study and its Trials.

    Takes what `kubectl get studies,trials -o yaml` prints, or shorter. Changes nothing.
    """
    from scaletune.cli.decisions import print_plan

    print_plan([*file, *(more or [])], now, output)


@app.command()
def replay(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The Study as YAML.")],
    ledger: Annotated[str, typer.Argument(metavar="LEDGER.jsonl", help="Reports, one a line.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Say which decisions recorded reports lead to, such as those of an earlier run."""
    from scaletune.cli.decisions import print_replay

    print_replay(study, ledger, output)
