"""Probes: /metrics, /livez and /readyz on one port, from the operator's own event loop.

So an answer alone says that the loop turns. What is wrong is said in words, one a line, with status
503: the kubelet shows them in the pod's Events.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

Faults = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class Health:
    """Who is asked; each returns what is wrong, in words, or nothing."""

    lives: Faults
    is_ready: Faults


def application(registry: CollectorRegistry, health: Health) -> web.Application:
    """The three pages."""
    made = web.Application()
    made.add_routes(
        [
            web.get("/metrics", make_aiohttp_handler(registry)),
            web.get("/livez", _probe(health.lives)),
            web.get("/readyz", _probe(health.is_ready)),
        ]
    )
    return made


@asynccontextmanager
async def serving(registry: CollectorRegistry, health: Health, port: int) -> AsyncIterator[int]:
    """Serve until the end of the context; the port that was bound, for 0 a free one."""
    runner = web.AppRunner(application(registry, health), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listening = _listening(port)
        await web.SockSite(runner, listening).start()
        yield listening.getsockname()[1]
    finally:
        await runner.cleanup()


def _listening(port: int) -> socket.socket:
    """One socket for IPv6 and IPv4, where there is IPv6."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _probe(faults: Faults) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        wrong = list(faults())
        return web.Response(text="\n".join(wrong) or "ok", status=503 if wrong else 200)

    return answer
