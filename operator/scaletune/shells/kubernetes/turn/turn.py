"""Turn: one turn of the loop over one Study: look, observe, store, plan, store, follow, summarise.

One turn per Study at a time, and nobody else writes its Trials' and its own status. Each starts
from what is stored; whatever a turn cannot finish, the next one does.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from scaletune.api.action import Finish, LookAgain, Plan
from scaletune.api.conditions import FINISHED, condition
from scaletune.api.study import Study, StudyStatus
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.ledger import Ledger
from scaletune.core.prior import NoPriorError, is_awaited
from scaletune.core.reports import Telemetry
from scaletune.core.summarise import differs_beyond_cost
from scaletune.shells.kubernetes.hindrances import requeues
from scaletune.shells.kubernetes.hindrances.acceptance import Acceptance
from scaletune.shells.kubernetes.hindrances.findings import Findings
from scaletune.shells.kubernetes.hindrances.rehearsal import Rehearsal
from scaletune.shells.kubernetes.hindrances.starting import Obstacle
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.seen.reports import message_of
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores
from scaletune.shells.kubernetes.server import reconciler
from scaletune.shells.kubernetes.server.client import Client
from scaletune.shells.kubernetes.server.reconciler import Key
from scaletune.shells.kubernetes.turn import earlier, events, mishaps, status
from scaletune.shells.kubernetes.turn.apply import Writer, carry_out
from scaletune.shells.kubernetes.turn.books import entered
from scaletune.shells.kubernetes.turn.cleanup import Cleanup
from scaletune.shells.kubernetes.turn.effects import Effects
from scaletune.shells.kubernetes.turn.ledgers import Ledgers
from scaletune.shells.kubernetes.turn.planning import Planner
from scaletune.shells.kubernetes.turn.unstarted import SETTLE_SECONDS, Unstarted
from scaletune.shells.kubernetes.workload import template_hash

RUNNING_SECONDS: Final = 10.0
REFUSED_SECONDS: Final = 30.0


@dataclass
class Turn:
    """What a turn needs; its memory may be lost at any moment and costs a write or a read then."""

    client: Client
    stores: Stores
    heard: Mapping[str, Telemetry]
    is_dirty: Callable[[Key], bool]
    """Whether another turn of this Study is due already."""
    shown: Callable[[Study, StudyStatus, float], StudyStatus]
    """A Study's status with how its trials are heard."""
    planner: Planner
    metrics: Metrics
    resync_seconds: float
    _ledgers: Ledgers = field(default_factory=Ledgers)
    _acceptance: Acceptance = field(default_factory=Acceptance)
    _written: dict[str, float] = field(default_factory=dict)
    """When its status was written, by the uid of a Study."""
    _seen: dict[str, float] = field(default_factory=dict)
    """When it was fetched, by the uid of a Study."""
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._writer = Writer(self.client, self.stores)
        self._effects = Effects(self.client, self.stores, self._writer)
        self._unstarted = Unstarted(self.client, self.stores, self._writer)
        self._rehearsal = Rehearsal(self.client)
        self._cleanup = Cleanup(self.client, self._writer)

    async def take(self, key: Key) -> float | None:
        """One turn; returns in how many seconds to look again."""
        now = time.time()
        await self._resync(key, now)
        snapshot = Snapshot.take(self.stores, key)
        if snapshot is None:
            self._ledgers.forget(key)
            return None
        read = entered(snapshot, self.heard, now)
        if read:
            bad = list(mishaps.news(snapshot.trials, read))
            await self._writer.store_each(self._writer.store_status, read)
            self.metrics.reports_read.labels("message").inc(_last_words(snapshot, read))
            self._begin(events.tell(self.client, bad, now))
            snapshot = self._fresh(key)
        if await self._unstarted.note(snapshot, now):
            snapshot = self._fresh(key)
        findings, plan = await self._judged(snapshot.study), Plan()
        snapshot = self._fresh(key)
        # What is wrong keeps trials from starting, and nobody from pausing or stopping them.
        if findings.problem is None or snapshot.study.spec.state != "Running":
            plan = self.planner.plan(snapshot.study, partial(self._ledger, snapshot), now)
            if self.planner.is_failing(snapshot.study):
                self._ledgers.forget(key)  # it may have been interrupted in the middle of a change
            if findings.problem is None:
                findings = await self._rehearsal.findings(snapshot, plan, now)
            plan = findings.allowed(plan)
            await carry_out(plan, snapshot.study, snapshot.trials, self._writer)
            snapshot = self._fresh(key)
        refused = await self._effects.follow(snapshot, self.heard, now, findings.may_start)
        findings = findings.with_refusal(refused)
        snapshot = self._fresh(key)
        done = events.of_plan(snapshot.study, snapshot.trials, plan)
        self._begin(events.tell(self.client, [*done], now))
        # While more is to be done at once, people can wait for a second.
        if not self.is_dirty(key) or self._last_written(snapshot.study, now) > 1.0:
            await self._summarise(snapshot, plan, findings, now)
        look = self._next_look(snapshot, plan, findings, now)
        cleaning = await self._cleanup.follow(self._fresh(key), now)
        self._begin(events.tell(self.client, cleaning.said, now))
        return look if cleaning.again_in is None else min(look, cleaning.again_in)

    async def _judged(self, study: Study) -> Findings:
        """Whether the Study can be served; what earlier ones hand on is stored with it at first."""
        findings = Findings().with_refusal(self._acceptance.problem(study))
        if findings.problem is not None or not is_awaited(study):
            return findings
        try:
            ready = earlier.begun(study, self.stores)
        except NoPriorError as error:
            return Findings(Obstacle(error.reason, str(error)))
        await self._writer.store_study_status(study, ready.status)
        return findings

    async def stop(self) -> None:
        """End what goes on beside the turns."""
        tasks = list(self._telling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _resync(self, key: Key, now: float) -> None:
        """Fetch a Study that the watch has not confirmed for long: a watch can miss a deletion."""
        study = self.stores.study(key)
        if study is None:
            return
        seen = self._seen.setdefault(study.metadata.uid, now)
        if now - seen >= self.resync_seconds:
            await self._writer.look_up(study)
            self._seen[study.metadata.uid] = now

    def _fresh(self, key: Key) -> Snapshot:
        """The snapshot after our own writes."""
        snapshot = Snapshot.take(self.stores, key)
        if snapshot is None:
            raise reconciler.LookAgain("the Study is gone")
        return snapshot

    async def _summarise(
        self, snapshot: Snapshot, plan: Plan, findings: Findings, now: float
    ) -> None:
        study = snapshot.study
        finish = next((each for each in plan.actions if isinstance(each, Finish)), None)
        ended = condition(study.status.conditions, FINISHED)
        if findings.problem and finish is None and ended is not None and ended.status == "True":
            finish = Finish(ended.reason, ended.message)  # a wrong edit does not undo the end
        try:
            new = status.study_status(study, self._ledger(snapshot), now, finish, findings)
        except Exception:
            if not self.planner.is_failing(study):
                raise
            new = study.status  # the same bug: what the planner has to say matters more
        new = self.planner.shown(study, self.shown(study, new, now), now)
        if self._is_worth_writing(study, new, now):
            await self._writer.store_study_status(study, new)
            self._begin(events.tell(self.client, [*events.of_conditions(study, new)], now))
            self._written[study.metadata.uid] = now

    def _ledger(self, snapshot: Snapshot) -> Ledger:
        return self._ledgers.of(snapshot.study, snapshot.trials)

    def _is_worth_writing(self, study: Study, new: StudyStatus, now: float) -> bool:
        if differs_beyond_cost(study.status, new):
            return True
        is_time = self._last_written(study, now) >= status.COST_SECONDS
        return is_time and status.differs(study.status, new)

    def _last_written(self, study: Study, now: float) -> float:
        """How many seconds ago the Study's status was written."""
        return now - self._written.get(study.metadata.uid, 0.0)

    def _next_look(self, snapshot: Snapshot, plan: Plan, findings: Findings, now: float) -> float:
        looks = [self.resync_seconds]
        looks += [max(0.0, each.at - now) for each in plan.actions if isinstance(each, LookAgain)]
        if any(attempts.is_open(trial) for trial in snapshot.trials.values()):
            looks.append(RUNNING_SECONDS)
        if any(map(requeues.is_waiting, snapshot.trials.values())):
            looks.append(SETTLE_SECONDS)
        hashed = template_hash(snapshot.study)
        looks += requeues.begin_in(snapshot.trials.values(), hashed, now)
        if not findings.may_start:
            looks.append(REFUSED_SECONDS)
        return min(looks)


def _last_words(snapshot: Snapshot, read: Iterable[Trial]) -> int:
    """How many of these trials were heard by the message of a pod that has ended."""
    ended = [trial for trial in read if not attempts.is_open(trial)]
    pods = [snapshot.pod(snapshot.trials[trial.index]) for trial in ended]
    return sum(pod is not None and message_of(pod) is not None for pod in pods)
