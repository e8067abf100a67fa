"""Operate: the operator as a process, until it is told to end.

    scaletune operate

Settings are environment variables, see `settings`. Logs are JSON, one object a line, with the study
and the trial that a line is about.
"""

import asyncio
import logging
import socket

import kopf
from kubernetes.aio.config import ConfigException

from scaletune.shells.kubernetes.client import Client
from scaletune.shells.kubernetes.settings import Settings


class NoClusterError(RuntimeError):
    """Nothing says which cluster to serve, or as whom."""


def main() -> None:
    """Serve all Studies, or those of SCALETUNE_NAMESPACE. Returns when told to end.

    Raises NoClusterError before anything is started: kopf would try again for ever.
    """
    asyncio.run(_check_credentials())
    namespace = Settings.of().namespace
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for every event seen
    # Importing the handlers registers them.
    from scaletune.shells.kubernetes import handlers  # noqa: F401

    kopf.run(
        # kopf would ask for the name of a user that a container need not have.
        identity=socket.gethostname(),  # type: ignore[arg-type]
        standalone=True,
        clusterwide=not namespace,
        namespaces=[namespace] if namespace else [],
    )


async def _check_credentials() -> None:
    try:
        client = await Client.connect()
    except ConfigException as error:
        raise NoClusterError(
            f"no cluster to serve: {error}. Set KUBECONFIG, or run in a pod with a service account"
        ) from None
    await client.close()


if __name__ == "__main__":
    main()
