"""Effects: Jobs, directives and clean-up, each from what is stored and nothing else.

An attempt is stored in the Trial before its Job is created under a name that follows from it, so
that there is never a second Job for one attempt. The next attempt waits until every pod of the one
before is over. A Job is deleted once the result of its attempt is stored; the one of a failed trial
stays, since its logs say why.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.failures import OTHER_VERSION, Verdict
from scaletune.core.frame import Frame
from scaletune.core.lifecycle import Event
from scaletune.core.reports import Telemetry
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.hindrances import requeues
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores, latest
from scaletune.shells.kubernetes.seen.views import Job
from scaletune.shells.kubernetes.server.client import (
    JOB,
    POD,
    SERVICE,
    Client,
    ConflictError,
    Json,
    MissingError,
    RefusedError,
)
from scaletune.shells.kubernetes.turn import directives
from scaletune.shells.kubernetes.turn.apply import Writer

log = logging.getLogger(__name__)


@dataclass
class Effects:
    """The hands: everything that touches Jobs and pods."""

    client: Client
    stores: Stores
    writer: Writer
    served: set[str] = field(default_factory=set)
    """uids of Studies whose Service is known to exist."""

    async def follow(
        self, snapshot: Snapshot, scraped: Mapping[str, Telemetry], now: float, may_start: bool
    ) -> str | None:
        """Make the cluster follow the stored intents. Returns why a Job was refused, if one was."""
        frame, refused = Frame.of(snapshot.study), None
        for trial in snapshot.trials.values():
            if attempts.is_open(trial):
                refused = await self._attend(snapshot, trial, scraped, may_start) or refused
            elif not attempts.should_run(frame, trial):
                rested = attempts.at_rest(frame, trial)
                if rested is not trial:
                    await self.writer.store_status(rested)
            elif may_start and _may_begin(snapshot, trial, now):
                refused = await self._begin(snapshot, trial, now) or refused
        for job in snapshot.jobs.values():
            if _is_done_with(snapshot, job):
                await self._delete(job)
        return refused

    async def _begin(self, snapshot: Snapshot, trial: Trial, now: float) -> str | None:
        hashed = workload.template_hash(snapshot.study)
        begun = attempts.begun(trial, "", hashed, timestamp(now))
        return await self._create_job(snapshot, await self.writer.store_status(begun))

    async def _attend(
        self,
        snapshot: Snapshot,
        trial: Trial,
        scraped: Mapping[str, Telemetry],
        may_start: bool,
    ) -> str | None:
        """One trial with an open attempt: its Job exists, its pod knows what is wanted."""
        job, pod, gang = snapshot.job(trial), snapshot.pod(trial), snapshot.gang(trial)
        if trial.status.attempts[-1].withdrawal and requeues.is_waiting(trial):
            if job is not None and not job.is_deleted:
                await self._delete(job)
            return None
        is_wanted = trial.spec.state == "Running"
        is_placed = gang is not None and gang.is_placed
        if pod is not None and (is_wanted or is_placed):
            patch = directives.outdated(snapshot.study, trial, pod, scraped.get(pod.uid))
            if patch is not None and not pod.is_over:
                await self._tell(pod.namespace, pod.name, patch)
        elif not is_wanted and job is not None and not job.is_deleted:
            await self._delete(job)  # it waits for places on nodes, and need not any more
        elif not is_wanted and job is None and not snapshot.has_live_pods(trial):
            status = trial.status
            withdrawn = Verdict(Event.LOST, "Withdrawn", None, status.reason, status.crashes)
            await self.writer.store_status(attempts.ended(trial, withdrawn))
        elif is_wanted and job is None and pod is None and may_start:
            return await self._create_job(snapshot, trial)
        return None

    async def _create_job(self, snapshot: Snapshot, trial: Trial) -> str | None:
        """Create the Job of the stored attempt; in words why the server refuses it, if so."""
        study = snapshot.study
        body = workload.job(study, trial)
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        try:
            await self._serve(snapshot)
            raw = await self.client.create(JOB, body)
        except ConflictError:
            raw = await self.client.get(JOB, namespace, name)
            owners = raw["metadata"].get("ownerReferences") or ()
            if all(owner["uid"] != trial.metadata.uid for owner in owners):
                return f"a Job {name} is already there and is not Scaletune's: delete it"
        except RefusedError as error:
            return f"the API server refuses the Job {name}: {error.message}"
        self.stores.jobs.put(raw)
        log.info("started %s", name, extra=_extra(trial))
        return None

    async def _serve(self, snapshot: Snapshot) -> None:
        uid = snapshot.study.metadata.uid
        if uid not in self.served:
            with suppress(ConflictError):
                await self.client.create(SERVICE, workload.service(snapshot.study))
            self.served.add(uid)

    async def _tell(self, namespace: str, name: str, patch: Json) -> None:
        with suppress(MissingError):  # it has gone meanwhile; the watch will say so
            self.stores.pods.put(await self.client.merge(POD, namespace, name, patch))

    async def _delete(self, job: Job) -> None:
        with suppress(MissingError, ConflictError):  # gone, or another one of this name
            await self.client.delete(JOB, job.namespace, job.name, job.uid)


def _may_begin(snapshot: Snapshot, trial: Trial, now: float) -> bool:
    """Whether the pods of all earlier attempts are over, and a trial's time has come."""
    begins_at = requeues.begins_at(trial, workload.template_hash(snapshot.study))
    return now >= begins_at and not snapshot.has_live_pods(trial)


def _is_done_with(snapshot: Snapshot, job: Job) -> bool:
    """Whether the result of the Job's attempt is stored and nobody needs its logs."""
    trial = next(each for each in snapshot.trials.values() if each.metadata.name == job.place.trial)
    place = latest(trial)
    if job.is_deleted or place is None or job.place.attempt > place.attempt:
        return False
    if job.place.attempt < place.attempt:
        return True
    if trial.status.state == "Failed":
        return trial.status.attempts[-1].cause == OTHER_VERSION  # it runs on, for nothing
    return not attempts.is_open(trial)


def _extra(trial: Trial) -> dict[str, str]:
    metadata = trial.metadata
    return {"namespace": metadata.namespace, "study": trial.spec.study, "trial": metadata.name}
