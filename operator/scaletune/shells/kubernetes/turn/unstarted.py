"""Unstarted: look at the attempts that have not started, and write down what is in their way.

Judgement is in `starting` and `requeues`; here are the questions to the API server and the writes.
Events are asked about a Job that stays without pods, or a pod without containers, a few in each
look and each at most every half minute: nothing else tells why. A new obstacle is written at once,
a change of its words alone at most once in ten seconds for a whole study, so that a study that
cannot start costs next to nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from scaletune.api.conditions import STARTED, condition
from scaletune.api.trial import Trial
from scaletune.core.budget import instant
from scaletune.shells.kubernetes.hindrances import requeues, starting
from scaletune.shells.kubernetes.hindrances.requeues import BLOCKED, TEMPLATE_CHANGED
from scaletune.shells.kubernetes.hindrances.starting import PATIENCE_SECONDS, Heard, Obstacle
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores
from scaletune.shells.kubernetes.server.client import Client, Json, RefusedError
from scaletune.shells.kubernetes.turn import events
from scaletune.shells.kubernetes.turn.apply import Writer
from scaletune.shells.kubernetes.turn.events import Happening
from scaletune.shells.kubernetes.workload import template_hash

SETTLE_SECONDS: Final = 5.0
"""What passes by itself sooner is not worth a word."""
QUESTIONS_MAX: Final = 4
WORDS_SECONDS: Final = 30.0

_Answers = dict[str, tuple[float, Heard | None]]


@dataclass
class Unstarted:
    """The eyes on what does not start; what it remembers may be lost at any time."""

    client: Client
    stores: Stores
    writer: Writer
    answers: dict[str, _Answers] = field(default_factory=dict)
    """By the Study's uid and that of a Job or pod: what its Events said, and when."""
    reworded: dict[str, float] = field(default_factory=dict)
    """By the Study's uid: when the words of an obstacle were last changed."""

    async def note(self, snapshot: Snapshot, now: float) -> bool:
        """Store what stands in the way of each attempt; whether anything was stored."""
        waiting = [
            trial
            for trial in snapshot.trials.values()
            if requeues.is_waiting(trial) and not _is_withdrawn(trial)
        ]
        heard = await self._ask(snapshot, waiting, now)
        changed = list(self._changed(snapshot, waiting, heard, now))
        if changed:
            stored = await self.writer.store_each(self.writer.store_status, changed)
            await events.tell(self.client, map(_happening, filter(_is_withdrawn, stored)), now)
        return bool(changed)

    def _changed(
        self, snapshot: Snapshot, waiting: list[Trial], heard: dict[str, Heard | None], now: float
    ) -> Iterator[Trial]:
        uid = snapshot.study.metadata.uid
        blocked, hashed = self._blocked(snapshot, waiting, now), template_hash(snapshot.study)
        for trial in waiting:
            job, pods = snapshot.job(trial), snapshot.own_pods(trial)
            found = starting.obstacle(job, pods, heard, now) if _is_settled(trial, now) else None
            cause = requeues.withdrawal(snapshot.study, trial, job, hashed, now)
            if cause is None and blocked is not None and blocked[0].index == trial.index:
                cause = BLOCKED
                found = Obstacle(BLOCKED, blocked[1])
            if cause is not None:
                yield requeues.taken_back(_said(snapshot, trial, cause, found, now), cause)
            elif found is not None:
                is_time = now - self.reworded.get(uid, 0.0) >= WORDS_SECONDS
                difference = _difference(trial, found)
                if difference == "words" and is_time:
                    self.reworded[uid] = now
                if difference == "reason" or (difference == "words" and is_time):
                    yield requeues.hindered(trial, found, now)

    async def _ask(
        self, snapshot: Snapshot, waiting: list[Trial], now: float
    ) -> dict[str, Heard | None]:
        """The last warnings about all that stays without a sign of life, by uid."""
        study = snapshot.study.metadata
        known = self.answers.get(study.uid, {})
        uids = list(_silent(snapshot, waiting, now))
        answers = {uid: known[uid] for uid in uids if uid in known}
        due = [uid for uid in uids if now - answers.get(uid, (0.0, None))[0] >= PATIENCE_SECONDS]
        for uid in due[:QUESTIONS_MAX]:
            try:
                events = await self.client.warnings(study.namespace, uid)
            except RefusedError:  # an older role: then nothing is known
                events = []
            answers[uid] = now, _latest(events)
        self.answers[study.uid] = answers
        return {uid: heard for uid, (_, heard) in answers.items()}

    def _blocked(
        self, snapshot: Snapshot, waiting: list[Trial], now: float
    ) -> tuple[Trial, str] | None:
        """The gang of this study that has to make room, and for whom; only if there is one.

        Those of all studies are looked at: whichever began last is the same for every one of them.
        """
        if not any(_half_placed(snapshot, waiting, now)):
            return None
        rivals: list[Trial] = []
        for key in self.stores.studies.groups():
            other = Snapshot.take(self.stores, key)
            if other is not None:
                open_ones = [each for each in other.trials.values() if requeues.is_waiting(each)]
                rivals += _half_placed(other, open_ones, now)
        last = requeues.youngest(rivals)
        if len(rivals) < 2 or all(last.metadata.uid != each.metadata.uid for each in waiting):
            return None
        names = [
            f"{each.metadata.namespace}/{each.metadata.name}"
            for each in rivals
            if each.metadata.uid != last.metadata.uid
        ]
        words = (
            f"holds some of its nodes and waits for the others, and so does {names[0]}; the younger"
            " gives back what it holds, and is tried again later. A queue such as Kueue admits"
            " whole trials only"
        )
        return last, words


def _is_withdrawn(trial: Trial) -> bool:
    return bool(trial.status.attempts[-1].withdrawal)


def _happening(trial: Trial) -> Happening:
    """That an attempt is taken back, for people."""
    attempt = trial.status.attempts[-1]
    if attempt.withdrawal == TEMPLATE_CHANGED:
        words = (
            "the template was edited before all pods had started: they start anew by the new one"
        )
    else:
        told = condition(trial.status.conditions, STARTED)
        words = told.message if told is not None else "its pods have not started"
    key, text = f"a{attempt.number}.withdrawn", f"attempt {attempt.number}: {words}"
    return Happening(trial, key, attempt.withdrawal, text)


def _half_placed(snapshot: Snapshot, trials: Iterable[Trial], now: float) -> Iterator[Trial]:
    for trial in trials:
        job = snapshot.job(trial)
        if job is not None and starting.is_half_placed(job, snapshot.own_pods(trial), now):
            yield trial


def _silent(snapshot: Snapshot, waiting: list[Trial], now: float) -> Iterator[str]:
    """uids of the Jobs and pods of which only Events can tell what is wrong."""
    for trial in waiting:
        job, pods = snapshot.job(trial), snapshot.own_pods(trial)
        if job is not None and starting.is_without_pods(job, pods, now):
            yield job.uid
        yield from (pod.uid for pod in pods if starting.is_stuck(pod, now))


def _latest(events: list[Json]) -> Heard | None:
    """The last of the Events that say why something does not start."""
    telling = [each for each in events if each.get("reason") in starting.TELLING]
    if not telling:
        return None
    last = max(telling, key=_time)
    return Heard(last["reason"], last.get("message", ""))


def _time(event: Json) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    made = event["metadata"].get("creationTimestamp", "")
    return str(next((time for time in times if time), made))


def _is_settled(trial: Trial, now: float) -> bool:
    begun = trial.status.attempts[-1].started_at
    return begun is None or now - instant(begun) >= SETTLE_SECONDS


def _difference(trial: Trial, found: Obstacle) -> str:
    old = condition(trial.status.conditions, STARTED)
    if old is None or old.status != "False" or old.reason != found.reason:
        return "reason"
    return "" if old.message == found.message[:2048] else "words"


def _said(
    snapshot: Snapshot, trial: Trial, cause: str, found: Obstacle | None, now: float
) -> Trial:
    """The trial that is taken back, with the reason why in its condition."""
    if cause == TEMPLATE_CHANGED:
        return trial  # people have done something about it, and a new attempt follows at once
    if cause == BLOCKED and found is not None:
        return requeues.hindered(trial, found, now)
    seconds = snapshot.study.spec.template.start_seconds
    words = (
        f"has not started within {seconds} s (template.startSeconds): it gives back what it holds,"
        " and is tried again later"
    )
    reason = requeues.START_TIMEOUT if found is None else found.reason
    message = words if found is None else f"{words}. What stood in the way: {found.message}"
    return requeues.hindered(trial, Obstacle(reason, message), now)
