"""The commands and their options. What each does is imported when it is called."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scaletune.cli.subject import Cluster

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


@app.command("import")
def import_(
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="A .csv file with a header, or JSON lines.")
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


def _cluster(namespace: str | None, context: str | None) -> "Cluster":
    from scaletune.cli.subject import PLUGIN, Cluster

    return Cluster(namespace, context, always=Path(sys.argv[0]).name == PLUGIN)


@app.command()
def compare(
    directory: Annotated[list[str], typer.Argument(metavar="DIRECTORY", help="Of runs.")],
) -> None:
    """Show the best of several runs beside each other."""
    from scaletune.cli.stored import show_comparison

    show_comparison(directory)


@app.command()
def portfolio(
    directory: Annotated[list[str], typer.Argument(metavar="DIRECTORY", help="Of runs.")],
    top: Annotated[int, typer.Option(min=1, max=100, help="How many configurations.")] = 5,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print configurations of which one is good in every run, as `initial` of a Study.

    In the parameters of the first run; ranks alone count, so that any metrics go together.
    """
    from scaletune.cli.portfolio import print_portfolio

    print_portfolio(directory, top, output)


@app.command()
def operate(
    namespace: Annotated[
        list[str] | None,
        typer.Option("--namespace", "-n", help="Serve this one; may be repeated. [default: all]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Of /metrics, /livez and /readyz. [default: 8080]")
    ] = None,
    election: Annotated[
        bool | None,
        typer.Option(
            "--election/--no-election",
            help="Lead only under a Lease, so that several can run. [default: yes]",
        ),
    ] = None,
    lease: Annotated[
        str | None,
        typer.Option(metavar="[NAMESPACE/]NAME", help="The Lease. [default: scaletune, beside us]"),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="json|text", help="[default: json]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="debug|info|warning|error", help="[default: info]")
    ] = None,
) -> None:
    """Serve the Studies of a Kubernetes cluster, as its operator does.

    Uses the service account in a pod, else your kubeconfig. Each option is also an environment
    variable: SCALETUNE_NAMESPACE, SCALETUNE_OPERATOR_PORT, SCALETUNE_ELECTION (0 or 1),
    SCALETUNE_LEASE_NAMESPACE and SCALETUNE_LEASE_NAME, SCALETUNE_LOG_FORMAT, SCALETUNE_LOG_LEVEL.
    """
    from scaletune.cli.operating import operate_cluster

    place, _, name = (lease or "").rpartition("/")
    options = {
        "SCALETUNE_NAMESPACE": ",".join(namespace) if namespace else None,
        "SCALETUNE_OPERATOR_PORT": None if port is None else str(port),
        "SCALETUNE_ELECTION": None if election is None else str(int(election)),
        "SCALETUNE_LEASE_NAMESPACE": place or None,
        "SCALETUNE_LEASE_NAME": name or None,
        "SCALETUNE_LOG_FORMAT": log_format,
        "SCALETUNE_LOG_LEVEL": log_level,
    }
    raise typer.Exit(operate_cluster(options))
