"""Our own kinds on a cluster: apply `crds/*.yaml` and wait until the API server serves them."""

import time
from pathlib import Path

from tests.cluster.connection import Connection, Refused
from tests.cluster.mounts import REPOSITORY

CRDS = REPOSITORY / "crds"


def apply(connection: Connection, folder: Path = CRDS, seconds_max: float = 30) -> list[str]:
    """Apply everything in a folder; the names of the definitions in it."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        return []
    words = [word for file in files for word in ("-f", str(file))]
    # By the server, because kubectl's own way copies the whole definition into an annotation.
    applied = connection.kubectl("apply", "--server-side", "-o", "name", *words).split()
    definitions = [name for name in applied if name.startswith("customresourcedefinition")]
    connection.kubectl("wait", "--for=condition=Established", *definitions)
    for name in definitions:
        _wait_until_served(connection, name.split("/")[1], seconds_max)
    return definitions


def _wait_until_served(connection: Connection, kind: str, seconds_max: float) -> None:
    """An established kind still answers 429 for a second, until its storage is there."""
    deadline = time.monotonic() + seconds_max
    while True:
        try:
            connection.kubectl("get", kind, "--all-namespaces")
            return
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
