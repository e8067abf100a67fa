"""Listener: hears running trials through Prometheus, the normal route where there is one.

All pods are asked about at once, in a few queries however many studies there are. A pod of which
Prometheus has a fresh sample is not read directly; any other is, at once, by the scraper. Whatever
happens here delays nothing else and loses nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp

from scaletune.api.study import Study, StudyStatus
from scaletune.shells.kubernetes.hearing import reachability, series
from scaletune.shells.kubernetes.hearing.prometheus import Prometheus, PrometheusError
from scaletune.shells.kubernetes.hearing.reachability import Steady, Verdict
from scaletune.shells.kubernetes.hearing.scraper import Scraper
from scaletune.shells.kubernetes.hearing.series import Sighting
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune.shells.kubernetes.server.reconciler import Key
from scaletune.shells.kubernetes.settings import Settings
from scaletune_trainer import wire

log = logging.getLogger(__name__)

PODS_AT_ONCE: Final = 200
RANGE_SECONDS: Final = 300.0
# A trainer whose last words do not fit stays for LINGER_SECONDS: it must be heard within them.
FRESH_SECONDS_MAX: Final = wire.LINGER_SECONDS * 2 / 3
# Prometheus learns of new pods every five seconds.
DISCOVERY_SECONDS: Final = 15.0
PAUSE_SECONDS_MAX: Final = 5.0


class Listener:
    """Asks Prometheus about the pods that may speak, and remembers how fresh its answers are.

    Where the settings name no Prometheus it hears nothing, and says nothing.
    """

    def __init__(
        self,
        settings: Settings,
        scraper: Scraper,
        changed: Callable[[Key], None],
        metrics: Metrics,
    ) -> None:
        self._prometheus, self._pause = settings.prometheus, settings.scrape_seconds
        self._scraper, self._changed, self._metrics = scraper, changed, metrics
        self._late_seconds = 2 * settings.prometheus_interval
        self._fresh_seconds = min(self._late_seconds, FRESH_SECONDS_MAX)
        # All of these are by this process's own clock; forgetting them costs a direct reading.
        self._scraped: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._server = Steady(self._late_seconds)
        self._studies: dict[Key, Steady] = {}

    async def run(self) -> None:
        """Ask again and again, for ever; less often while there is no answer."""
        if self._prometheus is None:
            return
        pause = self._pause
        async with aiohttp.ClientSession() as session:
            while True:
                pods = {pod.uid: (key, pod) for key, pod in self._scraper.speaking()}
                is_answered = await self._listen(session, self._prometheus, pods)
                pause = self._pause if is_answered else min(2 * pause, PAUSE_SECONDS_MAX)
                await asyncio.sleep(pause)

    def is_fresh(self, uid: str) -> bool:
        """Whether Prometheus knows enough of this pod that it need not be read directly."""
        scraped = self._scraped.get(uid)
        return scraped is not None and _now() - scraped <= self._fresh_seconds

    def shown(self, study: Study, status: StudyStatus, now: float) -> StudyStatus:
        """The status with what is to be told about this Study."""
        if self._prometheus is None:
            return reachability.forgotten(status)
        return reachability.shown(study, status, self._verdict(study), now)

    def _verdict(self, study: Study) -> Verdict | None:
        """None when nothing is certain yet."""
        server = self._server.verdict
        if server is None or not server.is_good:
            return server
        known = self._studies.get((study.metadata.namespace, study.metadata.name))
        return None if known is None else known.verdict

    async def _listen(
        self,
        session: aiohttp.ClientSession,
        prometheus: Prometheus,
        pods: dict[str, tuple[Key, Pod]],
    ) -> bool:
        asked = _now()
        self._scraped = {uid: at for uid, at in self._scraped.items() if uid in pods}
        self._since = {uid: self._since.get(uid, asked) for uid in pods}
        try:
            sightings = await asyncio.gather(
                *(_sighting(session, prometheus, part) for part in _parts(pods))
            )
        except PrometheusError as error:
            log.debug("%s", error)
            self._metrics.prometheus_queries.labels(error.reason).inc()
            self._scraped.clear()
            self._judge(reachability.failed(error.reason, str(error)), pods, set())
            return False
        self._metrics.prometheus_queries.labels("Answered").inc()
        misplaced: set[str] = set()
        for seen in sightings:
            misplaced |= seen.misplaced
            for uid, age in seen.age.items():
                self._scraped[uid] = asked - age
            for uid, telemetry in seen.telemetry.items():
                self._scraper.take(*pods[uid], telemetry, "prometheus")
        self._judge(reachability.GOOD, pods, misplaced)
        return True

    def _judge(
        self, server: Verdict, pods: dict[str, tuple[Key, Pod]], misplaced: set[str]
    ) -> None:
        now = _now()
        has_changed = self._server.note(server, now)
        self._metrics.prometheus_pods.set(sum(map(self.is_fresh, pods)))
        found: dict[Key, Verdict] = {}
        for uid, (key, _) in pods.items():
            own = self._verdict_on(uid, uid in misplaced, now)
            if own is not None and found.get(key, reachability.GOOD).is_good:
                found[key] = own
        self._studies = {
            key: self._studies.get(key) or Steady(self._late_seconds) for key, _ in pods.values()
        }
        for key, steady in self._studies.items():
            # While there is no answer, nothing is known about single pods.
            is_news = server.is_good and key in found and steady.note(found[key], now)
            if is_news or has_changed:
                self._changed(key)

    def _verdict_on(self, uid: str, is_misplaced: bool, now: float) -> Verdict | None:
        """None for a pod that Prometheus may not have come to yet."""
        scraped = self._scraped.get(uid)
        if scraped is not None and now - scraped <= self._late_seconds:
            return reachability.GOOD
        if now - self._since[uid] < self._late_seconds + DISCOVERY_SECONDS:
            return None
        return reachability.MISPLACED if is_misplaced else reachability.late(self._late_seconds)


def _parts(pods: dict[str, tuple[Key, Pod]]) -> Iterable[dict[str, Pod]]:
    """So many pods as fit into a query; while nobody trains, an empty one tells who answers."""
    uids = sorted(pods)
    for start in range(0, max(1, len(uids)), PODS_AT_ONCE):
        yield {uid: pods[uid][1] for uid in uids[start : start + PODS_AT_ONCE]}


async def _sighting(
    session: aiohttp.ClientSession, prometheus: Prometheus, pods: dict[str, Pod]
) -> Sighting:
    values, times = await asyncio.gather(
        prometheus.ask(session, series.values(pods, RANGE_SECONDS)),
        prometheus.ask(session, series.times(pods)),
    )
    try:
        return series.sighting(series.vector(values), series.vector(times), pods)
    except ValueError as error:
        raise PrometheusError("NotPrometheus", f"the answer is none: {error}") from None


def _now() -> float:
    return asyncio.get_running_loop().time()
