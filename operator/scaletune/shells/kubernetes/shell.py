"""Shell: what the operator runs while it may act: the mirror, the reconciler, the scraper.

What is done about a Study is a `Turn`; this says when one is taken.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from scaletune.shells.kubernetes.client import JOB, POD, TRIAL, Client, Json
from scaletune.shells.kubernetes.listener import Listener
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.kubernetes.reconciler import Key, Reconciler
from scaletune.shells.kubernetes.reflector import Reflector, Source
from scaletune.shells.kubernetes.scraper import Scraper
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.snapshot import Stores
from scaletune.shells.kubernetes.turn import Turn
from scaletune.shells.kubernetes.views import Pod


class Shell:
    """Everything that serves Studies in the operator's process."""

    def __init__(self, client: Client, settings: Settings, metrics: Metrics | None = None) -> None:
        self._client, self._settings = client, settings
        self.metrics = metrics = metrics or Metrics()
        self.stores = Stores()
        self._scraper = Scraper(self._pods, self._trigger, metrics)
        self._listener = Listener(settings, self._scraper, self._trigger, metrics)
        self._reconciler = Reconciler(self.reconcile, settings.concurrency, metrics)
        self._turn = Turn(
            client,
            self.stores,
            self._scraper.heard,
            self._reconciler.is_dirty,
            self._listener.shown,
            settings.resync_seconds,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_synced = False

    async def start(self) -> None:
        """Mirror the cluster; nothing is reconciled before all of it was seen once."""
        stores, namespace = self.stores, self._settings.namespace
        jobs = Source(JOB, namespace, STUDY_LABEL)
        pods = Source(POD, namespace, STUDY_LABEL)
        trials = Source(TRIAL, namespace)
        reflectors: tuple[Reflector[Any], ...] = (
            Reflector(self._client, trials, stores.trials, self._trigger, self.metrics),
            Reflector(self._client, jobs, stores.jobs, self._trigger, self.metrics),
            Reflector(self._client, pods, stores.pods, self._trigger, self.metrics),
        )
        self._run(*(reflector.run() for reflector in reflectors))
        for reflector in reflectors:
            await reflector.synced.wait()
        self._is_synced = True
        every = self._settings.scrape_seconds
        self._run(self._listener.run(), self._scraper.run(every, self._listener.is_fresh))
        for key in stores.studies.groups():
            self._reconciler.trigger(key)

    async def stop(self) -> None:
        """End everything; the stored state is always good to go on from."""
        await self._reconciler.stop()
        await self._turn.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def reconcile(self, key: Key) -> float | None:
        """One turn of one Study; returns in how many seconds to look again."""
        return await self._turn.take(key)

    def study_changed(self, event: str | None, raw: Json) -> None:
        """Take in what the watch of Studies says."""
        studies = self.stores.studies
        key = studies.remove(raw) if event == "DELETED" else studies.put(raw)
        if key is not None:
            self._trigger(key)

    def _run(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        for each in coroutines:
            task = asyncio.create_task(each)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _trigger(self, key: Key) -> None:
        if self._is_synced:
            self._reconciler.trigger(key)

    def _pods(self) -> Iterator[tuple[Key, Pod]]:
        pods = self.stores.pods
        return ((key, pod) for key in pods.groups() for pod in pods.of(key))
