"""Snapshot: one Study with everything that is its own, from the mirrored objects.

Ownership is by uid, all the way down: a re-created Study of the same name shares nothing with the
old one, and an object that only bears our labels is not ours.
"""

from dataclasses import dataclass, field

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import job_name
from scaletune.shells.kubernetes.seen.gang import Gang
from scaletune.shells.kubernetes.seen.slim import slim
from scaletune.shells.kubernetes.seen.views import Job, Place, Pod, read_job, read_pod, study_key
from scaletune.shells.kubernetes.server.client import Json
from scaletune.shells.kubernetes.server.reconciler import Key
from scaletune.shells.kubernetes.server.reflector import Store


def read_study(raw: Json) -> Study:
    """A Study without the server's book-keeping. Raises ValueError."""
    return Study.model_validate(_lean(raw))


def read_trial(raw: Json) -> Trial:
    """A Trial without the server's book-keeping. Raises ValueError."""
    return Trial.model_validate(_lean(raw))


def _kept_study(raw: Json) -> Study:
    return slim(read_study(raw))


def _kept_trial(raw: Json) -> Trial:
    return slim(read_trial(raw))


def _lean(raw: Json) -> Json:
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    return {**raw, "metadata": metadata}


def _own_key(raw: Json) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _trial_key(raw: Json) -> Key | None:
    study = (raw.get("spec") or {}).get("study")
    return (raw["metadata"]["namespace"], study) if study else None


@dataclass(frozen=True)
class Stores:
    """The mirrored objects of all studies."""

    studies: Store[Study] = field(default_factory=lambda: Store(_kept_study, _own_key))
    trials: Store[Trial] = field(default_factory=lambda: Store(_kept_trial, _trial_key))
    jobs: Store[Job] = field(default_factory=lambda: Store(read_job, study_key))
    pods: Store[Pod] = field(default_factory=lambda: Store(read_pod, study_key))

    def study(self, key: Key) -> Study | None:
        """The Study of this name; the newest, if an older one is still going."""
        found = self.studies.of(key)
        return max(found, key=lambda study: int(study.metadata.resource_version), default=None)


@dataclass(frozen=True)
class Snapshot:
    """A Study, its Trials, their Jobs and pods."""

    study: Study
    trials: dict[int, Trial]
    jobs: dict[Place, Job]
    pods: dict[Place, list[Pod]]

    @classmethod
    def take(cls, stores: Stores, key: Key) -> "Snapshot | None":
        """What is known now; None when there is no such Study, or it is being deleted."""
        study = stores.study(key)
        if study is None or study.metadata.deletion_timestamp is not None:
            return None
        trials = {
            trial.index: trial
            for trial in stores.trials.of(key)
            if controller(trial) == study.metadata.uid
        }
        uids = {trial.metadata.name: trial.metadata.uid for trial in trials.values()}
        jobs = {
            job.place: job
            for job in stores.jobs.of(key)
            if job.name == job_name(job.place.trial, job.place.attempt)
            and job.owner == uids.get(job.place.trial)
        }
        pods: dict[Place, list[Pod]] = {}
        for pod in sorted(stores.pods.of(key), key=lambda pod: (pod.created, pod.uid)):
            if pod.place.trial in uids:
                pods.setdefault(pod.place, []).append(pod)
        return cls(study, trials, jobs, pods)

    def job(self, trial: Trial) -> Job | None:
        """The Job of the trial's latest attempt."""
        place = latest(trial)
        return None if place is None else self.jobs.get(place)

    def pod(self, trial: Trial) -> Pod | None:
        """The pod of rank 0, as which the trial's latest attempt lives or lived.

        It is believed by its Job's uid, or, when the Job is gone, by the uid that was stored.
        """
        place = latest(trial)
        if place is None:
            return None
        job, known = self.jobs.get(place), trial.status.attempts[-1].incarnation
        own = [
            pod
            for pod in self.pods.get(place, ())
            if pod.rank == 0 and ((job is not None and pod.owner == job.uid) or pod.uid == known)
        ]
        return own[-1] if own else None

    def own_pods(self, trial: Trial) -> list[Pod]:
        """The pods of the Job of the trial's latest attempt."""
        job = self.job(trial)
        pods = () if job is None else self.pods.get(job.place, ())
        return [pod for pod in pods if job is not None and pod.owner == job.uid]

    def gang(self, trial: Trial) -> Gang | None:
        """The pods of the trial's latest attempt; None while that of rank 0 is not there."""
        first, job = self.pod(trial), self.job(trial)
        if first is None:
            return None
        newest = {
            pod.rank: pod for pod in self.pods.get(first.place, ()) if pod.owner == first.owner
        }
        others = tuple(pod for rank, pod in sorted(newest.items()) if rank > 0)
        return Gang(first, others, 1 + len(others) if job is None else job.nodes)

    def has_live_pods(self, trial: Trial) -> bool:
        """Whether any pod of any attempt of the trial may still be running."""
        return any(
            not pod.is_over
            for place, pods in self.pods.items()
            if place.trial == trial.metadata.name
            for pod in pods
        )


def latest(trial: Trial) -> Place | None:
    """Where the objects of the trial's latest attempt say that they belong."""
    attempts = trial.status.attempts
    return Place(trial.metadata.name, attempts[-1].number) if attempts else None


def controller(trial: Trial) -> str:
    """The uid of the Study that owns the Trial."""
    owners = (trial.metadata.model_extra or {}).get("ownerReferences") or ()
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")
