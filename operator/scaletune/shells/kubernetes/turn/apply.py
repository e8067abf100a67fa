"""Apply: a plan becomes what is stored: decisions in status first, then intents in spec.

Each write carries the resourceVersion of what was planned on. Whoever wrote in between wins: a
conflict fetches the newer object and ends this pass, and the next one plans again. A crash between
any two writes is harmless, because the next plan says again what was not carried out. Nothing here
starts or stops a process: that follows from the stored intent, in `effects`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from scaletune.api.action import Create, Decide, Pause, Plan, Resume, Stop
from scaletune.api.study import Study, StudyStatus
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.core import reasons
from scaletune.core.starts import decided, intended
from scaletune.shells.kubernetes.names import STUDY_LABEL
from scaletune.shells.kubernetes.seen.snapshot import Stores, controller, read_trial
from scaletune.shells.kubernetes.server.client import (
    STUDY,
    TRIAL,
    ApiError,
    Client,
    ConflictError,
    Json,
    Kind,
    MissingError,
)
from scaletune.shells.kubernetes.server.reconciler import LookAgain
from scaletune.shells.kubernetes.server.reflector import Store
from scaletune.shells.kubernetes.workload import owned_by

T = TypeVar("T")

WRITES_AT_ONCE = 16
_NEWER = (
    "as it is now it cannot be read; where the definitions are newer than this operator, upgrade it"
)
SAID = frozenset({"Stop", "Pause", "Complete"})
"""Decisions whose words become the reason of the trial's state."""


class Writer:
    """Stores Trials and Studies; what the server answers is in the stores at once."""

    def __init__(self, client: Client, stores: Stores) -> None:
        self._client, self._stores = client, stores

    async def store_status(self, trial: Trial) -> Trial:
        """Store a Trial's status. Raises LookAgain when the Trial is not what we know."""
        body = trial.to_yaml_fields()
        return read_trial(await self._replace(TRIAL, body, "status", self._stores.trials))

    async def store_spec(self, trial: Trial) -> Trial:
        """Store a Trial's intent. Raises LookAgain when the Trial is not what we know."""
        body = trial.to_yaml_fields()
        return read_trial(await self._replace(TRIAL, body, "", self._stores.trials))

    async def store_study_status(self, study: Study, status: StudyStatus) -> None:
        """Store a Study's status. Raises LookAgain when the Study is not what we know."""
        changed = study.model_copy(update={"status": status})
        await self._replace(STUDY, changed.to_yaml_fields(), "status", self._stores.studies)

    async def look_up(self, study: Study) -> None:
        """Fetch the Study anew, in case the watch has missed a change or its end."""
        namespace, name = study.metadata.namespace, study.metadata.name
        try:
            raw = await self._client.get(STUDY, namespace, name)
        except MissingError:
            self._stores.studies.remove(study.to_yaml_fields())
        else:
            if raw["metadata"]["uid"] != study.metadata.uid:
                self._stores.studies.remove(study.to_yaml_fields())
            self._stores.studies.put(raw)

    async def store_each(
        self, store: Callable[[Trial], Awaitable[Trial]], trials: Iterable[Trial]
    ) -> list[Trial]:
        """Store several; all are tried, then the first failure is raised."""
        places = asyncio.Semaphore(WRITES_AT_ONCE)

        async def one(trial: Trial) -> Trial:
            async with places:
                return await store(trial)

        answers = await asyncio.gather(*map(one, trials), return_exceptions=True)
        stored = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            stored.append(answer)
        return stored

    async def create(self, study: Study, action: Create) -> Trial:
        """Make a Trial. One that is already there is as good, if it is this Study's."""
        body = new_trial(study, action)
        try:
            raw = await self._client.create(TRIAL, body)
        except ConflictError:
            metadata = body["metadata"]
            raw = await self._client.get(TRIAL, metadata["namespace"], metadata["name"])
            if controller(read_trial(raw)) != study.metadata.uid:
                raise  # of an older Study of this name, which is still going
        self._stores.trials.put(raw)
        return read_trial(raw)

    async def _replace(self, kind: Kind, body: Json, subresource: str, store: Store[T]) -> Json:
        metadata = body["metadata"]
        name = f"{kind.name} {metadata['name']}"
        try:
            raw = await self._client.replace(kind, body, subresource)
        except MissingError as error:
            store.remove(body)
            raise LookAgain(f"{name} is gone") from error
        except ConflictError as error:
            with suppress(MissingError):  # then the next write says so
                store.put(await self._client.get(kind, metadata["namespace"], metadata["name"]))
            if not store.is_read(metadata["uid"]):
                raise ApiError(f"update {name}", error.status, "Unreadable", _NEWER) from error
            raise LookAgain(f"{name} was changed by somebody else") from error
        store.put(raw)
        return raw


async def carry_out(plan: Plan, study: Study, trials: dict[int, Trial], writer: Writer) -> None:
    """Store a plan: every decision, and only then the intents that follow from them."""
    trials = dict(trials)
    changed: dict[int, Trial] = {}
    for made in plan.decisions:
        trial = changed.get(made.trial, trials[made.trial])
        changed[made.trial] = _with_decision(study, trial, made)
    for action in plan.actions:
        if isinstance(action, Pause | Stop):
            trial = changed.get(action.trial, trials[action.trial])
            reason = intended(trial, action).status
            changed[action.trial] = trial.model_copy(update={"status": reason})
    news = [trial for index, trial in changed.items() if trial != trials[index]]
    for trial in await writer.store_each(writer.store_status, news):
        trials[trial.index] = trial
    for action in plan.actions:
        match action:
            case Create():
                trial = await writer.create(study, action)
                trials[trial.index] = trial
            case Resume() | Pause() | Stop():
                await writer.store_spec(intended(trials[action.trial], action))


def _with_decision(study: Study, trial: Trial, made: Decide) -> Trial:
    trial = decided(trial, made)
    return _with_reason(trial, reasons.explain(study, made)) if made.decision in SAID else trial


def _with_reason(trial: Trial, reason: str) -> Trial:
    status = trial.status.model_copy(update={"reason": reason[:1024]})
    return trial.model_copy(update={"status": status})


def new_trial(study: Study, action: Create) -> Json:
    """The manifest of a new Trial; its name is a function of the study and the index."""
    spec = action.spec
    name = trial_name(study.metadata.name, spec.index)
    metadata = study.metadata
    return {
        "apiVersion": TRIAL.api_version,
        "kind": TRIAL.name,
        "metadata": {
            "name": name,
            "namespace": metadata.namespace,
            "labels": {STUDY_LABEL: metadata.name},
            "ownerReferences": [owned_by(STUDY.api_version, "Study", metadata.name, metadata.uid)],
        },
        "spec": spec.to_yaml_fields(),
    }
