"""Scraper: reads the metrics endpoints of running trials, concurrently and with short time-outs.

What it hears is kept by the pod's uid until the pod is gone. Losing it costs nothing: the series
are sticky, so the next reading tells the same again. A trainer that does not answer is asked again
at the next tick, and its end comes by the termination message anyway.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp

from scaletune.core.reports import ForeignTelemetry, Telemetry, from_exposition
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.reconciler import Key
from scaletune.shells.kubernetes.views import Pod
from scaletune_trainer import wire

log = logging.getLogger(__name__)

TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0, sock_connect=1.0)
BYTES_MAX: Final = 2**20
AT_ONCE: Final = 64


class Scraper:
    """The latest telemetry of every running pod."""

    def __init__(
        self,
        pods: Callable[[], Iterable[tuple[Key, Pod]]],
        changed: Callable[[Key], None],
        metrics: Metrics,
    ) -> None:
        self._pods, self._changed, self._metrics = pods, changed, metrics
        self.heard: dict[str, Telemetry] = {}

    async def run(self, seconds: float) -> None:
        """Read all endpoints every so many seconds, for ever."""
        async with aiohttp.ClientSession(
            timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=AT_ONCE)
        ) as session:
            while True:
                pods = list(self._pods())
                self._forget({pod.uid for _, pod in pods})
                await asyncio.gather(
                    *(
                        self._read(session, key, pod)
                        for key, pod in pods
                        if pod.rank == 0 and pod.is_running and pod.address
                    )
                )
                await asyncio.sleep(seconds)

    def _forget(self, present: set[str]) -> None:
        for uid in self.heard.keys() - present:
            del self.heard[uid]

    async def _read(self, session: aiohttp.ClientSession, key: Key, pod: Pod) -> None:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with session.get(f"http://{host}:{wire.METRICS_PORT}/metrics") as response:
                text = await _text(response)
            telemetry = from_exposition(text)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._gap("silent")
            log.debug("%s does not answer: %r", pod.name, error)
            return
        except (ForeignTelemetry, ValueError, KeyError) as error:
            self._gap("unreadable")
            log.warning("%s: its metrics cannot be read: %s", pod.name, error)
            return
        if telemetry.incarnation != pod.uid:
            return  # the address was given to another pod meanwhile
        self._metrics.reports_read.labels("direct").inc()
        before = self.heard.get(pod.uid)
        self.heard[pod.uid] = telemetry
        if before is None or before.milestones != telemetry.milestones:
            self._changed(key)

    def _gap(self, cause: str) -> None:
        self._metrics.report_gaps.labels(cause).inc()


async def _text(response: aiohttp.ClientResponse) -> str:
    """The body. Raises ValueError when somebody sends without end."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BYTES_MAX:
            raise ValueError(f"over {BYTES_MAX} bytes")
    return body.decode()
