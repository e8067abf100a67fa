"""The `scaletune` command: those on files, those on studies, and the operator itself."""

from typing import Annotated

import typer

from scaletune.cli import file_commands, study_commands

app = typer.Typer(
    name="scaletune",
    help="Hyperparameter tuning for large training runs, on a laptop or on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
operator = typer.Typer()
for each in (file_commands.app, study_commands.app, operator):  # in the order of --help
    app.add_typer(each)


@operator.command()
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
