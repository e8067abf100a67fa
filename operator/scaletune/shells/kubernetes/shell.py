"""Shell: what the operator runs while it may act: the mirror, the reconciler, the scraper.

What is done about a Study is a `Turn`; this says when one is taken.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

from scaletune.shells.kubernetes.hearing.listener import Listener
from scaletune.shells.kubernetes.hearing.scraper import Scraper
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.kubernetes.seen.snapshot import Stores
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune.shells.kubernetes.server.client import JOB, POD, TRIAL, Client
from scaletune.shells.kubernetes.server.reconciler import Key, Reconciler
from scaletune.shells.kubernetes.server.reflector import Reflector, Source
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.studies import StudyWatch
from scaletune.shells.kubernetes.study_metrics import StudyMetrics
from scaletune.shells.kubernetes.turn.planning import Planner
from scaletune.shells.kubernetes.turn.turn import Turn

MIRRORED: Final = 3
"""Trials, Jobs and pods: so many watches for each namespace that is named."""


class Shell:
    """Everything that serves Studies in the operator's process."""

    def __init__(self, client: Client, settings: Settings, metrics: Metrics | None = None) -> None:
        self._client, self._settings = client, settings
        self.metrics = metrics = metrics or Metrics()
        self.stores = Stores()
        self._scraper = Scraper(self._pods, self._trigger, metrics)
        self._listener = Listener(settings, self._scraper, self._trigger, metrics)
        self.reconciler = Reconciler(self.reconcile, settings.concurrency, metrics)
        self._turn = Turn(
            client,
            self.stores,
            self._scraper.heard,
            self.reconciler.is_dirty,
            self._listener.shown,
            Planner(metrics),
            metrics,
            settings.resync_seconds,
        )
        self._is_synced = False
        namespaces, stores = settings.namespaces, self.stores
        self._studies = StudyWatch(client, namespaces, stores.studies, self._trigger)
        self._reflectors: list[Reflector[Any]] = []
        for place in namespaces or ("",):
            self._mirror(Source(TRIAL, place), stores.trials)
            self._mirror(Source(JOB, place, STUDY_LABEL), stores.jobs)
            self._mirror(Source(POD, place, STUDY_LABEL), stores.pods)

    def _mirror(self, source: Source, store: Any) -> None:
        doubt = self._studies.doubt
        reflector = Reflector(self._client, source, store, self._trigger, self.metrics, doubt)
        self._reflectors.append(reflector)

    async def run(self) -> None:
        """Serve for ever. Nothing is reconciled before all of the cluster was seen once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for reflector in self._reflectors:
                    tasks.create_task(reflector.run())
                tasks.create_task(self._studies.run())
                for reflector in self._reflectors:
                    await reflector.synced.wait()
                self._is_synced = True
                self.metrics.registry.register(StudyMetrics(self.stores, time.time))
                for key in self.stores.studies.groups():
                    self.reconciler.trigger(key)
                every = self._settings.scrape_seconds
                tasks.create_task(self._listener.run())
                tasks.create_task(self._scraper.run(every, self._listener.is_fresh))
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End what is going on; the stored state is always good to go on from."""
        await self.reconciler.stop()
        await self._turn.stop()

    def problems(self) -> Iterator[str]:
        """Why what is known of the cluster is not up to date, in words."""
        found = [self._studies.problem, *(each.problem for each in self._reflectors)]
        return (problem for problem in found if problem is not None)

    async def reconcile(self, key: Key) -> float | None:
        """One turn of one Study; returns in how many seconds to look again."""
        return await self._turn.take(key)

    def _trigger(self, key: Key) -> None:
        if self._is_synced:
            self.reconciler.trigger(key)

    def _pods(self) -> Iterator[tuple[Key, Pod]]:
        pods = self.stores.pods
        return ((key, pod) for key in pods.groups() for pod in pods.of(key))
