"""Operate: the operator as a process, until it is told to end.

    scaletune operate

It serves its probes from the start, waits until it holds the Lease, then serves Studies. Told to
end, it stops first and gives the Lease up then, so that the next one takes over within a second.
Exit code 1: another one holds the Lease. Settings are environment variables, see `settings`.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from kubernetes.aio.config import ConfigException

from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.process import logs
from scaletune.shells.kubernetes.process.health import State
from scaletune.shells.kubernetes.process.lease import Always, Lease, LeaseLostError
from scaletune.shells.kubernetes.process.probes import Health, serving
from scaletune.shells.kubernetes.server.client import Client
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import MIRRORED, Shell

log = logging.getLogger("scaletune.shells.kubernetes.operate")  # also when it is __main__

STOP_SECONDS: Final = 10.0
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class NoClusterError(RuntimeError):
    """Nothing says which cluster to serve, or as whom."""


def main(settings: Settings | None = None) -> int:
    """Serve Studies until told to end; the exit code. Raises NoClusterError before anything."""
    settings = settings or Settings.of()
    logs.configure(logs.Format(settings.log_format), settings.log_level)
    return asyncio.run(_operate(settings))


async def _operate(settings: Settings) -> int:
    metrics = Metrics()
    client = await _connected(settings, metrics)
    state = State(_lease(client, settings))
    metrics.leader.set_function(state.is_leading)
    health = Health(state.lives, state.is_ready)
    try:
        async with serving(metrics.registry, health, settings.port) as port:
            log.info("serving /metrics, /livez and /readyz on port %d", port)
            return await _lead(client, settings, metrics, state)
    finally:
        await client.close()


async def _lead(client: Client, settings: Settings, metrics: Metrics, state: State) -> int:
    end, lease = _end(), state.lease
    if not await _first(end.wait(), lease.acquire()):
        return 0
    log.info("leading; serving %s", ", ".join(settings.namespaces) or "all namespaces")
    # Nothing of it is kept from before: what is known of the cluster is read under the Lease.
    state.shell = Shell(client.fenced(lambda: lease.is_held), settings, metrics)
    try:
        await _first(end.wait(), lease.keep(), state.shell.run())
    except LeaseLostError as error:
        log.error("%s: ending at once, to start anew as one that stands by", error)
        return 1
    await lease.release()
    log.info("ended in order")
    return 0


async def _first(*works: Coroutine[Any, Any, Any]) -> int:
    """Do all until the first has ended, and cancel the others; which one it was."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in done:
        task.result()
    return min(tasks.index(task) for task in done)


def _end() -> asyncio.Event:
    """Set when the process is told to end."""
    end, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, end.set)
    return end


def _lease(client: Client, settings: Settings) -> Lease | Always:
    if not settings.election:
        return Always()
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    return Lease(client, _lease_namespace(settings), settings.lease_name, identity)


def _lease_namespace(settings: Settings) -> str:
    """As set; else the pod's own; else, out of a cluster, the first that is served."""
    if settings.lease_namespace:
        return settings.lease_namespace
    with contextlib.suppress(OSError):
        return _OWN_NAMESPACE.read_text().strip()
    return settings.namespaces[0] if settings.namespaces else "default"


async def _connected(settings: Settings, metrics: Metrics) -> Client:
    watches = MIRRORED * max(1, len(settings.namespaces))
    try:
        return await Client.connect(metrics=metrics, watches=watches)
    except ConfigException as error:
        raise NoClusterError(
            f"no cluster to serve: {error}. Set KUBECONFIG, or run in a pod with a service account"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
