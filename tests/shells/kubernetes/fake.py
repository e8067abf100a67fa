"""A cluster in memory: an API server with versions and conflicts, a kubelet, and a trainer.

It is exact where the operator relies on it: names are taken once, a write with an old version is
refused, status and spec are written apart, the generation counts changes of spec, deleting takes
along what is owned. The operator can be let die at any of its writes.
"""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from scaletune.shells.kubernetes.names import DIRECTIVE_ANNOTATION, INDEX_ANNOTATION
from scaletune.shells.kubernetes.server.client import (
    CLAIM,
    EVENT,
    JOB,
    POD,
    STUDY,
    TRIAL,
    ApiError,
    Client,
    ConflictError,
    Json,
    Kind,
    MissingError,
)
from scaletune.shells.kubernetes.server.reflector import Store
from scaletune.shells.kubernetes.shell import Shell
from scaletune_trainer import wire


class Died(Exception):
    """The operator's process is gone."""


class Death(StrEnum):
    """What becomes of the write at which the operator dies."""

    LOST = "lost"  # it never takes effect
    UNANSWERED = "unanswered"  # it takes effect, and nobody hears of it
    LATE = "late"  # it takes effect once the next operator has looked around


class Cluster(Client):
    """What a `Client` talks to; `dies_at` is the number of the operator's last write."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.writes, self.dies_at, self.death, self.is_dead = 0, 0, Death.LOST, False
        self.cleaned: set[str] = set()
        """Names of the trials whose checkpoints are gone."""
        self._version = 0
        self._in_flight: Callable[[], object] | None = None
        metadata = {"name": "checkpoints", "namespace": "ml"}
        spec = {"accessModes": ["ReadWriteMany"]}
        self.add(CLAIM, {"metadata": metadata, "spec": spec, "status": {"phase": "Bound"}})

    def all(self, kind: Kind) -> list[Json]:
        return [copy.deepcopy(raw) for (name, _), raw in self.objects.items() if name == kind.name]

    def show(self, shell: Shell) -> None:
        """Let the operator's mirror be up to date."""
        stores = shell.stores
        self._list(STUDY, stores.studies)
        self._list(TRIAL, stores.trials)
        self._list(JOB, stores.jobs)
        self._list(POD, stores.pods)

    def _list(self, kind: Kind, store: Store[Any]) -> None:
        raws = self.all(kind)
        for raw in raws:
            store.put(raw)
        store.retain({raw["metadata"]["uid"] for raw in raws}, self._version)

    def land(self) -> None:
        """Let a write of a dead operator take effect, if one is still on its way."""
        late, self._in_flight = self._in_flight, None
        if late is not None:
            with suppress(ApiError):
                late()

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        if self.is_dead:
            raise Died
        return copy.deepcopy(self._find(kind, name))

    async def create(self, kind: Kind, body: Json) -> Json:
        def create() -> Json:
            if (kind.name, body["metadata"]["name"]) in self.objects:
                raise ConflictError("create", 409, "AlreadyExists", body["metadata"]["name"])
            return copy.deepcopy(self.add(kind, body))

        return body if kind == EVENT else self._write(create)

    async def replace(self, kind: Kind, body: Json, subresource: str = "") -> Json:
        def replace() -> Json:
            found = self._find(kind, body["metadata"]["name"])
            if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                raise ConflictError("replace", 409, "Conflict", body["metadata"]["name"])
            part = subresource or "spec"
            if part == "spec" and found["spec"] != body["spec"]:
                found["metadata"]["generation"] += 1
            found[part] = copy.deepcopy(body.get(part, {}))
            return self._touched(found)

        return self._write(replace)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        def merge() -> Json:
            found = self._find(kind, name)
            found["metadata"]["annotations"] |= patch["metadata"]["annotations"]
            return self._touched(found)

        return self._write(merge)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        def delete() -> Json:
            if self._find(kind, name)["metadata"]["uid"] != uid:
                raise ConflictError("delete", 409, "Conflict", name)
            self.remove(uid)
            return {}

        self._write(delete)

    async def rehearse(self, kind: Kind, body: Json) -> None:
        if self.is_dead:
            raise Died

    async def warnings(self, namespace: str, uid: str) -> list[Json]:
        return []

    async def close(self) -> None:
        pass

    def add(self, kind: Kind, body: Json) -> Json:
        made = copy.deepcopy(body)
        self._version += 1
        made["metadata"] |= {
            "uid": f"uid-{self._version}",
            "resourceVersion": str(self._version),
            "generation": 1,
            "creationTimestamp": _now(),
        }
        self.objects[kind.name, made["metadata"]["name"]] = made
        return made

    def remove(self, uid: str) -> None:
        for place, raw in list(self.objects.items()):
            owners = [each["uid"] for each in raw["metadata"].get("ownerReferences", ())]
            if raw["metadata"]["uid"] == uid:
                del self.objects[place]
            elif uid in owners:
                self.remove(raw["metadata"]["uid"])

    def tick(self) -> None:
        """Each Job without pods gets them, each pod goes one step further in its life."""
        pods = self.all(POD)
        owners = {raw["metadata"]["ownerReferences"][0]["uid"] for raw in pods}
        for job in self.all(JOB):
            if job["metadata"]["name"].endswith("-cleanup"):
                self._clean_up(job)
            elif job["metadata"]["uid"] not in owners:
                for rank in range(job["spec"]["completions"]):
                    self._start_pod(job, rank)
        for pod in pods:
            found = self._find(POD, pod["metadata"]["name"])
            [container] = found["status"]["containerStatuses"]
            if "running" in container["state"]:
                container["state"] = {"terminated": _end(found)}
                found["status"]["phase"] = "Succeeded"
            elif "terminated" not in container["state"]:
                container["state"] = {"running": {}}
            self._touched(found)

    def _clean_up(self, job: Json) -> None:
        [container] = job["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each for each in container["env"]}
        wanted = json.loads(variables[wire.Variable.CLEANUP]["value"])
        self.cleaned |= set(wanted["trials"])
        found = self._find(JOB, job["metadata"]["name"])
        found["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        self._touched(found)

    def _start_pod(self, job: Json, rank: int) -> None:
        template = copy.deepcopy(job["spec"]["template"])
        owner = {"uid": job["metadata"]["uid"], "controller": True, "kind": "Job"}
        annotations = {**template["metadata"]["annotations"], INDEX_ANNOTATION: str(rank)}
        metadata = {
            **template["metadata"],
            "annotations": annotations,
            "name": f"{job['metadata']['name']}-{rank}-abcde",
            "namespace": job["metadata"]["namespace"],
            "ownerReferences": [owner],
        }
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}
        status = {
            "phase": "Pending",
            "conditions": [scheduled],
            "containerStatuses": [{"name": "trainer", "state": {"waiting": {}}}],
        }
        self.add(POD, {"metadata": metadata, "spec": template["spec"], "status": status})

    def _write(self, effect: Callable[[], Json]) -> Json:
        if self.is_dead:
            raise Died
        self.writes += 1
        if self.writes != self.dies_at:
            return effect()
        self.is_dead = True
        if self.death == Death.UNANSWERED:
            effect()
        elif self.death == Death.LATE:
            self._in_flight = effect
        raise Died

    def _find(self, kind: Kind, name: str) -> Json:
        if (kind.name, name) not in self.objects:
            raise MissingError("find", 404, "NotFound", name)
        return self.objects[kind.name, name]

    def _touched(self, raw: Json) -> Json:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        return copy.deepcopy(raw)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def value(x: float, step: int) -> float:
    return (x - 0.3) ** 2 + 1 / step


def _end(pod: Json) -> dict[str, Any]:
    """A trainer's whole life: from its checkpoint to where its directive lets it go."""
    variables = {each["name"]: each for each in pod["spec"]["containers"][0]["env"]}
    told = variables[wire.Variable.TRIAL]["value"].replace("$$", "$")
    spec = wire.TrialSpec.from_json(told)
    directive = wire.Directive.from_json(pod["metadata"]["annotations"][DIRECTIVE_ANNOTATION])
    start = spec.restore.step if spec.restore else 0
    is_wanted = directive.state == wire.State.RUNNING
    end = max(start, directive.until) if is_wanted else start
    x = spec.parameters["x"]
    assert isinstance(x, float)
    reports = [
        wire.MilestoneReport(level, level, value(x, level), number, directive.generation, 1.0)
        for number, level in enumerate(spec.milestones, 1)
        if start < level <= end
    ]
    reason = wire.Reason.DONE if end == spec.max else wire.Reason.PAUSED
    if not is_wanted:
        reason = wire.Reason(directive.state)
    message = wire.TerminationMessage(
        reason, step=end, checkpoint=end or None, sequence=9, device_seconds=1.0, reports=reports
    )
    return {
        "exitCode": 0,
        "reason": "Completed",
        "message": message.to_json(),
        "finishedAt": _now(),
    }
