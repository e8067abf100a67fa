"""GPUs that are none: a number on a node that scheduler and kubelet take as seriously as real ones.

So pods wait for them, take them, and give them back; only nothing computes on them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.cluster.connection import Connection

RESOURCE: Final = "nvidia.com/gpu"


@contextmanager
def advertised(connection: Connection, node: str, count: int) -> Iterator[None]:
    """The node has so many GPUs while the context lasts."""
    _advertise(connection, node, count)
    try:
        yield
    finally:
        _advertise(connection, node, 0)


def _advertise(connection: Connection, node: str, count: int) -> None:
    """Write them into the node's status, where a device plugin's would stand."""
    held = {RESOURCE: str(count)}
    patch = json.dumps({"status": {"capacity": held, "allocatable": held}})
    words = ["patch", "node", node, "--subresource=status", "--type=strategic", "-p", patch]
    connection.kubectl(*words)
