"""Options and arguments that several commands have in common."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="A table to read, or JSON for scripts.")
]
SubjectArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DIRECTORY|study/NAME]",
        help="The folder of a run, or a Study of a cluster. [default: the latest in runs/]",
        show_default=False,
    ),
]
TrialArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="[DIRECTORY] TRIAL|study",
        help="A trial's name or index, or trial/NAME or study/NAME of a cluster.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Read the cluster: this namespace of it."),
]
ContextOption = Annotated[
    str | None, typer.Option(help="Read the cluster of this context of the kubeconfig.")
]
