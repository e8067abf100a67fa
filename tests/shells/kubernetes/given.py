"""Plain builders for what the API server would hold: a Study, its Trials, their Jobs and pods."""

from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.names import (
    ATTEMPT_LABEL,
    DIRECTIVE_ANNOTATION,
    INDEX_ANNOTATION,
    STUDY_LABEL,
    TRIAL_LABEL,
    job_name,
)
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores, read_study, read_trial
from scaletune_trainer import wire

Json = dict[str, Any]

NOW = 1_764_000_000.0
SCHEDULED = "2025-11-24T15:59:00Z"
KEY = ("ml", "s")


def metadata(name: str, version: int = 1, **more: Any) -> Json:
    return {
        "name": name,
        "namespace": "ml",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": SCHEDULED,
        **more,
    }


def raw_study(pod: Json | None = None, **spec: Any) -> Json:
    """A Study with ASHA at 3, 9 and 27 steps."""
    container = {"name": "trainer", "image": "example", "command": ["python", "train.py"]}
    template = {"pod": pod or {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Study",
        "metadata": metadata("s"),
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "x", "float": {"min": 0, "max": 1}}],
            "training": {"unit": "Step", "max": 27},
            "policy": {"asha": {"eta": 3, "min": 3, "mode": "Promote"}},
            "budget": {"trials": 4},
            "checkpoints": {"persistentVolumeClaim": {"claimName": "checkpoints"}},
            "template": template,
            **spec,
        },
    }


def raw_trial(index: int = 0, owner: str = "uid-s", version: int = 1, **status: Any) -> Json:
    owners = [{"uid": owner, "controller": True, "kind": "Study", "name": "s"}]
    return {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Trial",
        "metadata": metadata(f"s-{index:04d}", version, ownerReferences=owners),
        "spec": {
            "study": "s",
            "index": index,
            "until": 3,
            "parameters": [{"name": "x", "float": 0.25}],
        },
        "status": status,
    }


def attempt(number: int = 1, incarnation: str = "", **more: Any) -> Json:
    return {"number": number, "incarnation": incarnation, **more}


def _labels(index: int, number: int) -> Json:
    trial = f"s-{index:04d}"
    return {STUDY_LABEL: "s", TRIAL_LABEL: trial, ATTEMPT_LABEL: str(number)}


def raw_job(
    index: int = 0, number: int = 1, owner: str = "", nodes: int = 1, **condition: str
) -> Json:
    """The Job of an attempt; `Failed="True"` makes it failed."""
    trial = f"s-{index:04d}"
    owners = [{"uid": owner or f"uid-{trial}", "controller": True}]
    return {
        "metadata": metadata(
            job_name(trial, number), labels=_labels(index, number), ownerReferences=owners
        ),
        "spec": {"completions": nodes},
        "status": {"conditions": [{"type": t, "status": s} for t, s in condition.items()]},
    }


def raw_pod(
    index: int = 0,
    number: int = 1,
    uid: str = "pod-uid",
    state: Json | None = None,
    *,
    rank: int = 0,
    **status: Any,
) -> Json:
    """A pod of an attempt, on a node; `state` is its container's."""
    job = job_name(f"s-{index:04d}", number)
    owners = [{"uid": f"uid-{job}", "controller": True, "kind": "Job", "name": job}]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": SCHEDULED}
    return {
        "metadata": {
            **metadata(
                f"{job}-{rank}-abcde", labels=_labels(index, number), ownerReferences=owners
            ),
            "uid": uid,
            "annotations": {DIRECTIVE_ANNOTATION: "", INDEX_ANNOTATION: str(rank)},
        },
        "spec": {"containers": [{"name": "trainer"}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.9",
            "conditions": [scheduled],
            "containerStatuses": [{"name": "trainer", "state": state or {"running": {}}}],
            **status,
        },
    }


def ended(
    message: wire.TerminationMessage | str, exit_code: int = 0, reason: str = "Completed"
) -> Json:
    """The state of a container that ended 30 seconds after it was scheduled."""
    text = message if isinstance(message, str) else message.to_json()
    return {
        "terminated": {
            "exitCode": exit_code,
            "message": text,
            "reason": reason,
            "finishedAt": "2025-11-24T15:59:30Z",
        }
    }


def study(**spec: Any) -> Study:
    return read_study(raw_study(**spec))


def trial(index: int = 0, **status: Any) -> Trial:
    return read_trial(raw_trial(index, **status))


def snapshot(
    *,
    trials: list[Json],
    jobs: tuple[Json, ...] = (),
    pods: tuple[Json, ...] = (),
    template: Json | None = None,
) -> Snapshot:
    """The snapshot of these objects."""
    stores = Stores()
    study = raw_study()
    study["spec"]["template"] |= template or {}
    stores.studies.put(study)
    for each in trials:
        stores.trials.put(each)
    for each in jobs:
        stores.jobs.put(each)
    for each in pods:
        stores.pods.put(each)
    taken = Snapshot.take(stores, KEY)
    assert taken is not None
    return taken
