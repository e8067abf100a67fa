"""The commands that begin with a file of the user's: a Study, a snapshot, results.

What each does is imported when it is called.
"""

from typing import Annotated

import typer

from scaletune.cli.options import Output, OutputOption

app = typer.Typer()


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


@app.command()
def simulate(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The Study as YAML.")],
    objective: Annotated[
        str,
        typer.Option(
            metavar="FILE.py:NAME|package.module:NAME|TABLE.jsonl",
            help="What a training would report: a function, or recorded curves.",
        ),
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Places, instead of spec.parallelism.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0-9", help="Seeds, instead of spec.seed; each is run.")
    ] = None,
    overhead: Annotated[
        str | None,
        typer.Option(metavar="start=S,resume=S,pause=S", help="Seconds beside the training."),
    ] = None,
    failures: Annotated[
        str | None,
        typer.Option(
            metavar="mtbf=S,repair=S,checkpoint=STEPS",
            help="Each place fails and is repaired, after S on average.",
        ),
    ] = None,
    late: Annotated[
        float, typer.Option(metavar="S", help="All is heard later, by S seconds on average.")
    ] = 0.0,
    lose: Annotated[
        float,
        typer.Option(metavar="F", help="This fraction of scrapes fails; the next brings the rest."),
    ] = 0.0,
    output: OutputOption = Output.TABLE,
    ledger: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write what arrived, for `scaletune replay`."),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Write DIR/seed-N, for `status`, `explain` and `extrapolate`."
        ),
    ] = None,
) -> None:
    """Say what a Study would cost and find, in virtual time and without any training.

    Exit code 1: the objective raised an error.
    """
    from scaletune.cli.simulating import Wishes, simulate_study

    wishes = Wishes(
        objective=objective,
        workers=workers,
        seeds=seeds,
        overhead=overhead,
        failures=failures,
        late=late,
        lose=lose,
        output=output,
        ledger=ledger,
        folder=folder,
    )
    raise typer.Exit(simulate_study(study, wishes))


@app.command()
def validate(
    file: Annotated[list[str], typer.Argument(metavar="FILE", help="Studies as YAML.")],
) -> None:
    """Say everything that is wrong with Studies, as the API server would."""
    from scaletune.cli.checking import validate_files

    validate_files(file)


@app.command()
def run(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The Study as YAML.")],
    directory: Annotated[
        str | None,
        typer.Option("--directory", "-d", help="Where to keep everything. [default: runs/NAME]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="How many trials in all, instead of spec.budget.trials.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="One full training, instead of spec.training.max.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Set any field of the spec: --set parallelism=1; null takes it away.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; an earlier run is put aside.")
    ] = False,
) -> None:
    """Run a Study on this machine, without a cluster.

    Ctrl-C pauses and keeps everything; the same command goes on from there.
    """
    from scaletune.cli.running import run_study

    named = {"budget.trials": trials, "training.max": steps}
    settings = [f"{name}={value}" for name, value in named.items() if value is not None]
    raise typer.Exit(run_study(study, directory, [*(setting or []), *settings], fresh=fresh))


@app.command("import")
def import_(
    results: Annotated[
        str,
        typer.Argument(
            metavar="RESULTS|URL[#NAME]",
            help="A .csv file with a header, JSON lines, or Optuna's database: sqlite:///FILE.",
        ),
    ],
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="The Study whose parameters and metric they are.")
    ],
    directory: Annotated[
        str | None,
        typer.Option("--directory", "-d", help="Where to keep it. [default: runs/NAME]"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="A metric or parameter has another column."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Leave out rows that say otherwise."),
    ] = None,
) -> None:
    """Make the folder of a finished run from results of another tuner.

    Columns: the parameters (NAME or params_NAME), the metric, and if there are any: step, seconds
    of device time until then, and trial, which says what rows are one training.
    """
    from scaletune.cli.importing import Wish, import_results

    import_results(results, study, Wish(directory, column or [], only or []))
