"""Shell: one turn of the loop on a cluster: look, observe, store, plan, store, follow, summarise.

One reconcile per Study at a time, and nobody else writes its Trials' and its own status. Each pass
starts from what is stored; whatever a pass cannot finish, the next one does.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from scaletune.api import validation
from scaletune.api.action import Finish, LookAgain, Plan
from scaletune.api.study import Study, StudyStatus
from scaletune.core import attempts
from scaletune.core.ledger import Ledger
from scaletune.core.plan import decide
from scaletune.shells.kubernetes import events, reconciler, status, workload
from scaletune.shells.kubernetes.apply import Writer, carry_out
from scaletune.shells.kubernetes.books import entered
from scaletune.shells.kubernetes.client import JOB, POD, TRIAL, Client, Json
from scaletune.shells.kubernetes.effects import Effects
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.kubernetes.reconciler import Key, Reconciler
from scaletune.shells.kubernetes.reflector import Reflector, Source
from scaletune.shells.kubernetes.scraper import Scraper
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.snapshot import Snapshot, Stores
from scaletune.shells.kubernetes.views import Pod

log = logging.getLogger(__name__)

RUNNING_SECONDS: Final = 10.0
REFUSED_SECONDS: Final = 30.0


class Shell:
    """Everything that runs in the operator's process."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self.stores = Stores()
        self._writer = Writer(client, self.stores)
        self._effects = Effects(client, self.stores, self._writer)
        self._reconciler = Reconciler(self.reconcile, settings.concurrency)
        self._scraper = Scraper(self._pods, self._trigger)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_synced = False
        # By uid of a Study: when its status was written, when it was fetched, and what is wrong
        # with a generation of its spec. Losing them costs a write, a read, and a moment.
        self._written: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._judged: dict[str, tuple[int, str | None]] = {}

    async def start(self) -> None:
        """Mirror the cluster; nothing is reconciled before all of it was seen once."""
        stores, namespace = self.stores, self._settings.namespace
        jobs = Source(JOB, namespace, STUDY_LABEL)
        pods = Source(POD, namespace, STUDY_LABEL)
        trials = Source(TRIAL, namespace)
        trial_reflector = Reflector(self._client, trials, stores.trials, self._trigger)
        job_reflector = Reflector(self._client, jobs, stores.jobs, self._trigger)
        pod_reflector = Reflector(self._client, pods, stores.pods, self._trigger)
        self._run(trial_reflector.run(), job_reflector.run(), pod_reflector.run())
        for reflector in (trial_reflector, job_reflector, pod_reflector):
            await reflector.synced.wait()
        self._is_synced = True
        self._run(self._scraper.run(self._settings.scrape_seconds))
        for key in stores.studies.groups():
            self._reconciler.trigger(key)

    async def stop(self) -> None:
        """End everything; the stored state is always good to go on from."""
        await self._reconciler.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

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

    async def reconcile(self, key: Key) -> float | None:
        """One pass over one Study; returns in how many seconds to look again."""
        now = time.time()
        await self._resync(key, now)
        snapshot = self._snapshot(key)
        if snapshot is None:
            return None
        read = entered(snapshot, self._scraper.heard, now)
        if read:
            await self._writer.store_each(self._writer.store_status, read)
            snapshot = self._fresh(key)
        problem, plan = self._problem(snapshot.study), Plan()
        if problem is None:
            ledger = Ledger.of(snapshot.study, snapshot.trials.values())
            plan = decide(snapshot.study, ledger, now)
            await carry_out(plan, snapshot.study, snapshot.trials, self._writer)
            snapshot = self._fresh(key)
        refused = await self._effects.follow(
            snapshot, self._scraper.heard, now, may_start=problem is None
        )
        snapshot = self._fresh(key)
        self._run(events.tell(self._client, snapshot.study, snapshot.trials, plan.decisions, now))
        # While more is to be done at once, people can wait for a second.
        if not self._reconciler.is_dirty(key) or self._last_written(snapshot.study, now) > 1.0:
            await self._summarise(snapshot, plan, problem or refused, now)
        return self._next_look(snapshot, plan, refused, now)

    async def _resync(self, key: Key, now: float) -> None:
        """Fetch a Study that the watch has not confirmed for long: a watch can miss a deletion."""
        study = self.stores.study(key)
        if study is None:
            return
        seen = self._seen.setdefault(study.metadata.uid, now)
        if now - seen >= self._settings.resync_seconds:
            await self._writer.look_up(study)
            self._seen[study.metadata.uid] = now

    def _snapshot(self, key: Key) -> Snapshot | None:
        return Snapshot.take(self.stores, key)

    def _fresh(self, key: Key) -> Snapshot:
        """The snapshot after our own writes."""
        snapshot = self._snapshot(key)
        if snapshot is None:
            raise reconciler.LookAgain("the Study is gone")
        return snapshot

    def _problem(self, study: Study) -> str | None:
        """Why nothing of this Study can be started; found once for each generation of its spec."""
        uid, generation = study.metadata.uid, study.metadata.generation
        known = self._judged.get(uid)
        if known is None or known[0] != generation:
            document = {
                "apiVersion": study.api_version,
                "kind": study.kind,
                "metadata": {"name": study.metadata.name, "namespace": study.metadata.namespace},
                "spec": study.spec.to_yaml_fields(),
            }
            found = validation.problems(document) + validation.problems_on_a_cluster(document)
            words = [str(each) for each in found] or [workload.problem(study) or ""]
            known = generation, "; ".join(words) or None
            self._judged[uid] = known
        return known[1]

    async def _summarise(
        self, snapshot: Snapshot, plan: Plan, problem: str | None, now: float
    ) -> None:
        study = snapshot.study
        ledger = Ledger.of(study, snapshot.trials.values())
        finish = next((each for each in plan.actions if isinstance(each, Finish)), None)
        new = status.study_status(study, ledger, now, finish, problem)
        if self._is_worth_writing(study, new, now):
            await self._writer.store_study_status(study, new)
            self._written[study.metadata.uid] = now

    def _is_worth_writing(self, study: Study, new: StudyStatus, now: float) -> bool:
        if status.differs_beyond_cost(study.status, new):
            return True
        is_time = self._last_written(study, now) >= status.COST_SECONDS
        return is_time and status.differs(study.status, new)

    def _last_written(self, study: Study, now: float) -> float:
        """How many seconds ago the Study's status was written."""
        return now - self._written.get(study.metadata.uid, 0.0)

    def _next_look(self, snapshot: Snapshot, plan: Plan, refused: str | None, now: float) -> float:
        looks = [self._settings.resync_seconds]
        looks += [max(0.0, each.at - now) for each in plan.actions if isinstance(each, LookAgain)]
        if any(attempts.is_open(trial) for trial in snapshot.trials.values()):
            looks.append(RUNNING_SECONDS)
        if refused is not None:
            looks.append(REFUSED_SECONDS)
        return min(looks)
