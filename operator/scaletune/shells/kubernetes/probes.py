"""Probes: /metrics, /livez and /readyz on one port, from the operator's own event loop.

So an answer alone says that the loop turns. What is wrong is said in words, one a line, with status
503: the kubelet shows them in the pod's Events.
"""

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
        await web.TCPSite(runner, port=port).start()
        # With 0 each family of addresses has a port of its own.
        yield next(port for host, port, *_ in runner.addresses if ":" not in host)
    finally:
        await runner.cleanup()


def _probe(faults: Faults) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        wrong = list(faults())
        return web.Response(text="\n".join(wrong) or "ok", status=503 if wrong else 200)

    return answer
