"""Scraper: reads the metrics endpoints of running trials, concurrently and with short time-outs.

All of them where no Prometheus is asked, else those of which it has no fresh sample. What it hears
is kept by the pod's uid until the pod is gone. Losing it costs nothing: the series are sticky, so
the next reading tells the same again. A trainer that does not answer is asked again at the next
tick, and its end comes by the termination message anyway.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import aiohttp

from scaletune.core.reports import ForeignTelemetry, OtherVersion, Telemetry, from_exposition
from scaletune.shells.kubernetes.hearing.series import later
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune.shells.kubernetes.server.reconciler import Key
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

    async def run(self, seconds: float, is_heard: Callable[[str], bool] = lambda _: False) -> None:
        """Read the endpoints of all pods not heard otherwise every so many seconds, for ever."""
        async with aiohttp.ClientSession(
            timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=AT_ONCE)
        ) as session:
            while True:
                self._forget({pod.uid for _, pod in self._pods()})
                await asyncio.gather(
                    *(
                        self._read(session, key, pod)
                        for key, pod in self.speaking()
                        if pod.address and not is_heard(pod.uid)
                    )
                )
                await asyncio.sleep(seconds)

    def speaking(self) -> Iterator[tuple[Key, Pod]]:
        """The pods that may have something to say."""
        return ((key, pod) for key, pod in self._pods() if pod.rank == 0 and pod.is_running)

    def take(self, key: Key, pod: Pod, telemetry: Telemetry, route: str) -> None:
        """Take in what a pod says of itself, by whichever way it came."""
        self._metrics.reports_read.labels(route).inc()
        before = self.heard.get(pod.uid)
        self.heard[pod.uid] = now = later(before, telemetry)
        # As text, in which a value that is no number is equal to itself.
        if before is None or repr(_news(before)) != repr(_news(now)):
            self._changed(key)

    def _forget(self, present: set[str]) -> None:
        for uid in self.heard.keys() - present:
            del self.heard[uid]

    async def _read(self, session: aiohttp.ClientSession, key: Key, pod: Pod) -> None:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with session.get(f"http://{host}:{wire.METRICS_PORT}/metrics") as response:
                text = await _text(response)
            telemetry = from_exposition(text)
        except OtherVersion as error:
            telemetry = Telemetry(error.incarnation, refusal=str(error))
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
        self.take(key, pod, telemetry, "direct")

    def _gap(self, cause: str) -> None:
        self._metrics.report_gaps.labels(cause).inc()


def _news(telemetry: Telemetry) -> object:
    """What is looked at as soon as it changes."""
    return telemetry.milestones, telemetry.refusal


async def _text(response: aiohttp.ClientResponse) -> str:
    """The body. Raises ValueError when somebody sends without end."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BYTES_MAX:
            raise ValueError(f"over {BYTES_MAX} bytes")
    return body.decode()
