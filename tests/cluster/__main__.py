"""A test cluster for a developer: `python -m tests.cluster up`, and `down` when done.

What `up` starts is what the tests start for themselves. Tests run against it, without waiting for
another one to start, when SCALETUNE_TEST_KUBECONFIG names its kubeconfig.
"""

from typing import Annotated

import typer

from tests.cluster import faults, images, operators_image, prerequisites, programs, signals, slots
from tests.cluster.cluster import Cluster

application = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _say(line: str) -> None:
    typer.echo(f"cluster: {line}", err=True)


@application.command()
def up(
    nodes: Annotated[int, typer.Option(min=0, help="Real nodes beside the control plane.")] = 1,
) -> None:
    """Start a cluster and leave it standing."""
    with Cluster(_say) as cluster:
        cluster.start()
        for _ in range(nodes):
            cluster.add_node()
        cluster.keep()
    connection = cluster.connection
    _say(f"cluster {cluster.site.number} stands until `make cluster-down`; for a shell:")
    typer.echo(f"export KUBECONFIG={connection.kubeconfig} KUBECACHEDIR={connection.cache}")
    typer.echo(f"export PATH={connection.program.parent}:$PATH")


@application.command()
def down(
    number: Annotated[int | None, typer.Argument(help="Which one; all when left out.")] = None,
) -> None:
    """End clusters that were left standing."""
    standing = slots.kept() if number is None else [number]
    for each in standing:
        slot = slots.retake(each)
        slot.clear()
        slot.release()
        _say(f"cluster {each} has ended")
    if not standing:
        _say("no cluster was left standing")


@application.command()
def tools() -> None:
    """Install the Debian packages that a cluster needs; build its programs and its image."""
    prerequisites.install(_say)
    prerequisites.demand()
    for program in programs.ALL:
        _say(f"{program.name} is {programs.find(program, _say)}")
    _say(f"the image for pods is {images.archive(_say)}")
    _say(f"the operator's image is made in {images.archive(_say, images.BUILDING)}")
    _say(f"with the packages in {operators_image.wheels(_say)}")


if __name__ == "__main__":
    signals.end_as_if_interrupted()
    try:
        application()
    except faults.ClusterError as error:
        _say(str(error))
        raise SystemExit(1) from None
