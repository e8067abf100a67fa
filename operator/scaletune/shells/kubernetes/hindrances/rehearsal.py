"""Rehearsal: before a template is used, the API server is asked whether it would take it.

The Job and its pod are created with `dryRun=All` and `fieldValidation=Strict`: every check and
admission of the real thing, and nothing is stored. A typo, a quota, a level of pod security or a
missing service account is told in seconds, before a trial exists. The claim for checkpoints is
looked at as well. A template that was found right is not asked for again; what was refused is,
every half minute, and so is a claim that was good, which may be deleted at any time.
"""

from dataclasses import dataclass, field
from typing import Final

from scaletune.api.action import Create, Plan
from scaletune.api.model import Metadata
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.core import attempts
from scaletune.core.frame import Frame
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.hindrances import claims, starting
from scaletune.shells.kubernetes.hindrances.claims import Claim
from scaletune.shells.kubernetes.hindrances.findings import Findings, failing_alike
from scaletune.shells.kubernetes.hindrances.starting import Obstacle
from scaletune.shells.kubernetes.seen.snapshot import Snapshot
from scaletune.shells.kubernetes.server.client import (
    CLAIM,
    JOB,
    POD,
    ApiError,
    Client,
    Json,
    MissingError,
    RefusedError,
)

AGAIN_SECONDS: Final = 30.0
QUOTA: Final = "QuotaExceeded"


@dataclass(frozen=True)
class _Answer:
    """What was found of a template or a claim, and when."""

    about: str
    at: float
    refusal: Obstacle | None = None
    claim: Claim | None = None

    def is_good(self, about: str, now: float) -> bool:
        """Whether it need not be asked again yet."""
        is_settled = self.refusal is None and self.claim is None
        return self.about == about and (is_settled or now - self.at < AGAIN_SECONDS)


@dataclass
class Rehearsal:
    """What is asked before anything starts; its memory may be lost at any time."""

    client: Client
    templates: dict[str, _Answer] = field(default_factory=dict)
    claims: dict[str, _Answer] = field(default_factory=dict)

    async def findings(self, snapshot: Snapshot, plan: Plan, now: float) -> Findings:
        """What stands in the way of starting what the plan says."""
        claim = await self.claim(snapshot.study, now)
        refusal = await self.refusal(snapshot, plan, now)
        return Findings(refusal, claim, failing_alike(snapshot.study, snapshot.trials))

    async def refusal(self, snapshot: Snapshot, plan: Plan, now: float) -> Obstacle | None:
        """Why nothing can start by the Study's template; None when it can, or nothing is to."""
        study, uid = snapshot.study, snapshot.study.metadata.uid
        hashed = workload.template_hash(study)
        known = self.templates.get(uid)
        if known is not None and known.is_good(hashed, now):
            return known.refusal
        trial = _example(snapshot, plan)
        if trial is None:
            return None
        found = await self._try(study, attempts.begun(trial, "", hashed, timestamp(now)))
        if found is not None and found.reason == QUOTA and _uses_some(snapshot):
            return None  # by its own trials: the next waits until one of them ends
        self.templates[uid] = _Answer(hashed, now, refusal=found)
        return found

    async def claim(self, study: Study, now: float) -> Claim | None:
        """What to think of the Study's claim; None when it has none."""
        if study.spec.checkpoints is None:
            return None
        uid, about = study.metadata.uid, str(study.metadata.generation)
        known = self.claims.get(uid)
        if known is None or not known.is_good(about, now):
            name = study.spec.checkpoints.persistent_volume_claim.claim_name
            try:
                raw = await self.client.get(CLAIM, study.metadata.namespace, name)
            except MissingError:
                found = claims.judged(study, None)
            except RefusedError as error:
                found = Claim("Unknown", "NotAllowed", error.message)
            else:
                found = claims.judged(study, raw)
            known = self.claims[uid] = _Answer(about, now, claim=found)
        return known.claim

    async def _try(self, study: Study, trial: Trial) -> Obstacle | None:
        job = _job(study, trial)
        try:
            await self.client.rehearse(JOB, job)
            await self.client.rehearse(POD, _pod(job))
        except ApiError as error:
            return _refused(error)
        return None


def _refused(error: ApiError) -> Obstacle:
    """What a refusal means. Raises what is none: the API server could not answer."""
    words = error.message.replace("spec.template.spec", "spec.template.pod.spec")
    obstacle = starting.refused(words)
    if obstacle.reason != "PodsNotCreated":
        return obstacle
    if not isinstance(error, RefusedError | MissingError):
        raise error
    return Obstacle.of("TemplateRefused", words)


def _example(snapshot: Snapshot, plan: Plan) -> Trial | None:
    """A trial that would start; None when none would."""
    study = snapshot.study.metadata
    for action in plan.actions:
        if isinstance(action, Create):
            name = trial_name(study.name, action.spec.index)
            metadata = Metadata(name=name, namespace=study.namespace)
            return Trial(metadata=metadata, spec=action.spec)
    frame = Frame.of(snapshot.study)
    return next((t for t in snapshot.trials.values() if attempts.should_run(frame, t)), None)


def _uses_some(snapshot: Snapshot) -> bool:
    """Whether the study itself uses some of a quota."""
    return any(not pod.is_over for pods in snapshot.pods.values() for pod in pods)


def _job(study: Study, trial: Trial) -> Json:
    """The Job of an attempt under a name that no attempt has."""
    job = workload.job(study, trial)
    metadata = job["metadata"]
    # The trial need not exist, and an owner has to.
    kept = {name: metadata[name] for name in ("namespace", "labels")}
    return {**job, "metadata": {**kept, "name": f"{metadata['name']}-rehearsal"}}


def _pod(job: Json) -> Json:
    template = job["spec"]["template"]
    metadata = {key: job["metadata"][key] for key in ("namespace", "name")}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": {**template["metadata"], **metadata},
        "spec": template["spec"],
    }
