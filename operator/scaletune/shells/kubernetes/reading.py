"""Reading: a study as a person sees it from outside, with the person's own rights. Changes nothing.

The operator mirrors a cluster; here one Study is read once, with its Trials, or the log of one pod.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kubernetes.aio import config

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import STUDY_LABEL, TRIAL_LABEL
from scaletune.shells.kubernetes.seen.snapshot import controller, read_study, read_trial
from scaletune.shells.kubernetes.seen.views import Pod, read_pod
from scaletune.shells.kubernetes.server.client import POD, STUDY, TRIAL, Client, Json

_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class NothingFoundError(Exception):
    """There is no such thing; says what there is."""


@dataclass(frozen=True)
class Reader:
    """A namespace of a cluster, seen by whoever the kubeconfig says."""

    client: Client
    namespace: str

    @classmethod
    async def connect(cls, namespace: str | None, context: str | None) -> Self:
        """By the kubeconfig and its current context, unless told otherwise."""
        client = await Client.connect(context=context)
        return cls(client, namespace or _usual_namespace(context))

    async def studies(self) -> list[Study]:
        """All Studies of the namespace."""
        raws, _ = await self.client.list(STUDY, self.namespace)
        return [read_study(raw) for raw in raws]

    async def study(self, name: str) -> tuple[Study, dict[int, Trial]]:
        """A Study and its Trials by index. Raises NothingFoundError."""
        found = {study.metadata.name: study for study in await self.studies()}
        if name not in found:
            there = f"there are {', '.join(sorted(found))}" if found else "there is none"
            raise NothingFoundError(f"no Study {name} in namespace {self.namespace}; {there}")
        study = found[name]
        raws, _ = await self.client.list(TRIAL, self.namespace, f"{STUDY_LABEL}={name}")
        trials = [read_trial(raw) for raw in raws]
        own = [each for each in trials if controller(each) == study.metadata.uid]
        return study, {trial.index: trial for trial in own}

    async def pods(self, trial: str) -> list[tuple[Pod, str]]:
        """The pods of a trial, and the name of the container that trains in each."""
        raws, _ = await self.client.list(POD, self.namespace, f"{TRIAL_LABEL}={trial}")
        found = [(read_pod(raw), _trainer(raw)) for raw in raws]
        return sorted(found, key=lambda each: (each[0].place.attempt, each[0].created))

    def log(self, pod: str, container: str, *, follow: bool) -> AsyncIterator[bytes]:
        """What a container has printed; with `follow`, until it ends."""
        return self.client.log(self.namespace, pod, container, follow=follow)


def _trainer(raw: Json) -> str:
    return str(raw["spec"]["containers"][0]["name"])


def _usual_namespace(context: str | None) -> str:
    """That of the context, as kubectl takes it; in a pod the pod's own."""
    try:
        contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError):
        return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else "default"
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")
