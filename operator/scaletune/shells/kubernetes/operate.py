"""Operate: the operator as a process, until it is told to end.

    scaletune operate

Settings are environment variables, see `settings`. Logs are JSON, one object a line, with the study
and the trial that a line is about.
"""

import logging
import socket

import kopf

from scaletune.shells.kubernetes.settings import Settings


def main() -> None:
    """Serve all Studies, or those of SCALETUNE_NAMESPACE. Returns when told to end."""
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


if __name__ == "__main__":
    main()
