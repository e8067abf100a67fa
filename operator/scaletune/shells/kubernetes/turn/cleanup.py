"""Cleanup: one Job at the end of a study deletes the checkpoints that nobody will read again.

The operator itself mounts nothing. While trials run, rank 0 deletes what its directive lists; those
that have ended have no rank 0, so that theirs wait for this. A Trial whose status names no
checkpoint has been cleaned up. The Job says of which trials it is: so a crash at any time leaves at
worst one that finds nothing to do, and is deleted itself.
"""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.discarded import discarded, freed
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.names import CLEANUP_ANNOTATION, cleanup_name
from scaletune.shells.kubernetes.seen.snapshot import Snapshot
from scaletune.shells.kubernetes.seen.views import instant
from scaletune.shells.kubernetes.server.client import (
    JOB,
    Client,
    ConflictError,
    Json,
    MissingError,
    RefusedError,
)
from scaletune.shells.kubernetes.turn.apply import Writer
from scaletune.shells.kubernetes.turn.events import Happening

log = logging.getLogger(__name__)

TRIALS_AT_ONCE: Final = 1000
"""Their names have to fit into one variable, of 128 KiB."""
AGAIN_SECONDS: Final = 5.0
HINDERED_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 120.0
"""How long a Job may be without a running pod before people are told."""


@dataclass(frozen=True)
class Step:
    """What came of a look at the clean-up."""

    again_in: float | None = None
    said: tuple[Happening, ...] = ()


@dataclass
class Cleanup:
    """Asks about the Job until it is over: it bears none of the labels of a trial."""

    client: Client
    writer: Writer
    _over: set[str] = field(default_factory=set)
    """uids of Studies known to have no such Job; forgetting one costs a read."""

    async def follow(self, snapshot: Snapshot, now: float) -> Step:
        """The next step, if the study has ended and there is something to delete."""
        study = snapshot.study
        if not is_true(study.status.conditions, FINISHED) or study.spec.checkpoints is None:
            return Step()
        batch = _batch(snapshot)
        if not batch and study.metadata.uid in self._over:
            return Step()
        try:
            name = cleanup_name(study.metadata.name)
            raw = await self.client.get(JOB, study.metadata.namespace, name)
        except MissingError:
            return await self._begin(study, batch)
        return await self._attend(study, raw, batch, now)

    async def _begin(self, study: Study, batch: Sequence[Trial]) -> Step:
        if not batch:
            self._over.add(study.metadata.uid)
            return Step()
        self._over.discard(study.metadata.uid)
        problem = workload.problem(study)
        if problem is not None:
            words = f"checkpoints that are not needed any more cannot be deleted: {problem}"
            return _hindered(study, "template", words)
        trials = [trial.metadata.name for trial in batch]
        job = workload.cleanup(study, trials, _digest(batch))
        name = job["metadata"]["name"]
        try:
            await self.client.create(JOB, job)
        except ConflictError:
            return Step(AGAIN_SECONDS)
        except RefusedError as error:
            words = f"the API server refuses the Job {name}: {error.message}"
            return _hindered(study, "refused", words)
        about = {"namespace": study.metadata.namespace, "study": study.metadata.name}
        log.info("%s deletes the checkpoints of %d trials", name, len(batch), extra=about)
        return Step(AGAIN_SECONDS)

    async def _attend(self, study: Study, raw: Json, batch: Sequence[Trial], now: float) -> Step:
        """What to do about a Job that is there."""
        metadata, end = raw["metadata"], _end(raw)
        name, uid = metadata["name"], metadata["uid"]
        if metadata.get("deletionTimestamp"):
            return Step(AGAIN_SECONDS)
        if all(each["uid"] != study.metadata.uid for each in metadata.get("ownerReferences") or ()):
            words = f"a Job {name} is already there and is not this Study's: delete it"
            return _hindered(study, uid, words)
        if end is None:
            waits = now - instant(metadata["creationTimestamp"]) > PATIENCE_SECONDS
            is_running = (raw.get("status") or {}).get("ready")
            return _waiting(study, name, uid) if waits and not is_running else Step(AGAIN_SECONDS)
        is_of_these = (metadata.get("annotations") or {}).get(CLEANUP_ANNOTATION) == _digest(batch)
        if end == "Failed" and is_of_these:
            return _failed(study, name, uid)
        if is_of_these:
            await self.writer.store_each(self.writer.store_status, map(freed, batch))
        with suppress(MissingError, ConflictError):  # gone, or another one of this name
            await self.client.delete(JOB, metadata["namespace"], name, uid)
        return Step(again_in=0.0)


def _batch(snapshot: Snapshot) -> list[Trial]:
    """The trials whose checkpoints are deleted next: no pod of theirs may still write any."""
    found = [
        trial
        for trial in discarded(snapshot.study, snapshot.trials.values())
        if trial.status.checkpoint is not None and not snapshot.has_live_pods(trial)
    ]
    return found[:TRIALS_AT_ONCE]


def _digest(batch: Sequence[Trial]) -> str:
    text = " ".join(trial.metadata.uid for trial in batch)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _end(job: Json) -> str | None:
    """Complete, Failed, or None while it goes on."""
    told = (job.get("status") or {}).get("conditions") or ()
    ends = [each["type"] for each in told if each["status"] == "True"]
    return next((end for end in ("Complete", "Failed") if end in ends), None)


def _waiting(study: Study, name: str, uid: str) -> Step:
    words = (
        f"the Job {name}, which is to delete checkpoints that are not needed any more, has no"
        f" running pod: kubectl describe job {name} and kubectl describe pods -l job-name={name}"
        " tell why"
    )
    return _hindered(study, uid, words, "CleanupWaiting")


def _failed(study: Study, name: str, uid: str) -> Step:
    words = (
        f"the Job {name} could not delete all checkpoints that are not needed any more:"
        f" kubectl logs job/{name} tells why. To have it tried again: kubectl delete job {name}"
    )
    return _hindered(study, uid, words)


def _hindered(study: Study, key: str, words: str, reason: str = "CleanupFailed") -> Step:
    """Said once per key for as long as the server remembers Events, and then again."""
    said = Happening(study, f"{reason}.{key[:8]}", reason, words, is_warning=True)
    return Step(HINDERED_SECONDS, (said,))
