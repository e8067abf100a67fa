"""Workload: a Trial's attempt as an Indexed Job, its Study's headless Service. Pure manifests.

The user's pod template passes through: whatever it says wins, and only what it leaves out is filled
in, so that a plain template satisfies the `restricted` pod security level and torchrun has its
shared memory. What is not the user's to choose is set whatever the template says: the command is
wrapped in our PID 1, pods never restart by themselves, and the protocol's variables are ours.

No `ttlSecondsAfterFinished` and no `activeDeadlineSeconds`: a Job that goes away by itself takes
its trial's last reports along.
"""

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from scaletune.api.model import GROUP
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.shells.kubernetes.names import (
    ATTEMPT_LABEL,
    CLEANUP_ANNOTATION,
    DIRECTIVE_ANNOTATION,
    INDEX_ANNOTATION,
    QUEUE_LABEL,
    STUDY_LABEL,
    TRIAL_LABEL,
    cleanup_name,
    job_name,
    service_name,
)
from scaletune.shells.kubernetes.server.client import JOB, SERVICE, STUDY, TRIAL, Json
from scaletune_trainer import wire
from scaletune_trainer.wire import Variable

GRACE_SECONDS: Final = 120
# What is left of the grace period once torchrun has ended its workers.
LEAVE_SECONDS: Final = 10
# Of rank 0's pod, where the others meet it.
RENDEZVOUS_PORT: Final = 29400
CHECKPOINTS: Final = "scaletune-checkpoints"
DIRECTIVE: Final = "scaletune-directive"
SHARED_MEMORY: Final = "scaletune-shm"
VOLUME_PATH: Final = "/scaletune/checkpoints"
# The whole directory is mounted: a file mounted by subPath would never change.
DIRECTIVE_PATH: Final = "/scaletune/directive"
DIRECTIVE_FILE: Final = "directive.json"
RESTRICTED: Final[Json] = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "securityContext": {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "fsGroupChangePolicy": "OnRootMismatch",
    },
}
CLEANUP_RESOURCES: Final[Json] = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}
# Of the template, what a pod that only deletes files needs as well: its image, its interpreter, its
# user and its nodes. It gets no GPU, no network of the host, no sidecar and no Secret's variable.
CLEANUP_SPEC: Final = frozenset(
    {
        "imagePullSecrets",
        "nodeSelector",
        "runtimeClassName",
        "securityContext",
        "serviceAccountName",
        "tolerations",
        "volumes",
    }
)
CLEANUP_CONTAINER: Final = frozenset(
    {"name", "image", "imagePullPolicy", "volumeMounts", "workingDir"}
)
CLEANUP_IS_NOT: Final = (f"{GROUP}/", f"{QUEUE_LABEL.partition('/')[0]}/")  # a trial, or queued
CLEANUP_USER: Final = frozenset({"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions"})


def template_hash(study: Study) -> str:
    """Tells one template of a Study from another, as far as it shows in the Job."""
    is_not_in_it = {"retries", "start_seconds"}
    text = json.dumps(
        study.spec.template.model_dump(mode="json", exclude=is_not_in_it), sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def problem(study: Study) -> str | None:
    """Why no trial can be started from this Study's template, in words; None when it can."""
    containers = study.spec.template.pod.get("spec", {}).get("containers") or []
    if not containers:
        return "template.pod.spec.containers is empty: the first container is the trainer"
    if not containers[0].get("command"):
        return (
            "template.pod.spec.containers[0] has no command: give it in full, such as"
            " [python, train.py]; the image's own entrypoint cannot be wrapped"
        )
    return None


def service(study: Study) -> Json:
    """One headless Service per Study: the pods' host names resolve as soon as they exist."""
    metadata = study.metadata
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.name,
        "metadata": {
            "name": service_name(metadata.name),
            "namespace": metadata.namespace,
            "labels": {STUDY_LABEL: metadata.name},
            "ownerReferences": [owned_by(STUDY.api_version, "Study", metadata.name, metadata.uid)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {STUDY_LABEL: metadata.name},
        },
    }


def job(study: Study, trial: Trial) -> Json:
    """The Job of the trial's latest attempt, which is stored in its status."""
    attempt, nodes = trial.status.attempts[-1].number, study.spec.template.nodes
    pod = _pod(study, trial, attempt)
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": job_name(trial.metadata.name, attempt),
            "namespace": trial.metadata.namespace,
            # A queue reads its labels on the Job, so that all of the template's stand there too.
            "labels": pod["metadata"]["labels"],
            "ownerReferences": [
                owned_by(TRIAL.api_version, "Trial", trial.metadata.name, trial.metadata.uid)
            ],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": pod,
        },
    }


def cleanup(study: Study, trials: Sequence[str], digest: str) -> Json:
    """The Job that deletes the checkpoints of these trials, under their user; in no queue."""
    template = copy.deepcopy(study.spec.template.pod)
    given, metadata = template["spec"]["containers"][0], study.metadata
    spec: Json = {key: each for key, each in template["spec"].items() if key in CLEANUP_SPEC}
    container = {key: each for key, each in given.items() if key in CLEANUP_CONTAINER}
    user = given.get("securityContext") or {}
    container |= {
        "command": [_python(given["command"][0]), "-m", "scaletune_trainer.cleanup"],
        "env": [each for each in given.get("env") or () if "valueFrom" not in each],
        "resources": CLEANUP_RESOURCES,
        "securityContext": {key: each for key, each in user.items() if key in CLEANUP_USER},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    _fill(spec, RESTRICTED)
    _restrict(container)
    wanted = json.dumps({"study": metadata.uid, "trials": list(trials)})
    variables = {Variable.VOLUME: VOLUME_PATH, Variable.CLEANUP: wanted}
    ours: list[Json] = [{"name": name, "value": value} for name, value in variables.items()]
    _set_environment(container, ours)
    spec["volumes"] = [*(spec.get("volumes") or ()), {"name": CHECKPOINTS, **_checkpoints(study)}]
    mount = {"name": CHECKPOINTS, "mountPath": VOLUME_PATH}
    container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    about = template.get("metadata") or {}
    labels = about.get("labels") or {}
    labels = {key: each for key, each in labels.items() if not key.startswith(CLEANUP_IS_NOT)}
    pod: Json = {
        "metadata": {"labels": labels, "annotations": about.get("annotations") or {}},
        "spec": {**spec, "restartPolicy": "Never", "containers": [container]},
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": cleanup_name(metadata.name),
            "namespace": metadata.namespace,
            "annotations": {CLEANUP_ANNOTATION: digest},
            "ownerReferences": [owned_by(STUDY.api_version, "Study", metadata.name, metadata.uid)],
        },
        "spec": {"backoffLimit": 2, "template": pod},
    }


def owned_by(api_version: str, kind: str, name: str, uid: str) -> Json:
    """A controller's reference: when the owner goes, so does the object."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod(study: Study, trial: Trial, attempt: int) -> Json:
    template = copy.deepcopy(study.spec.template.pod)
    metadata = template.get("metadata") or {}
    spec: Json = template.get("spec") or {}
    spec["restartPolicy"] = "Never"
    _fill(spec, RESTRICTED)
    _fill(
        spec,
        {
            "subdomain": service_name(study.metadata.name),
            "terminationGracePeriodSeconds": GRACE_SECONDS,
        },
    )
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        _restrict(container)
    trainer = spec["containers"][0]
    _wrap(trainer)
    variables = _protocol(trainer, study, trial, grace=int(spec["terminationGracePeriodSeconds"]))
    if study.spec.template.nodes > 1:
        host = f"{job_name(trial.metadata.name, attempt)}-0"
        variables += _rendezvous(study, f"{host}.{spec['subdomain']}")
    _set_environment(trainer, variables)
    _mount(spec, trainer, study)
    labels = {
        **(metadata.get("labels") or {}),
        STUDY_LABEL: study.metadata.name,
        TRIAL_LABEL: trial.metadata.name,
        ATTEMPT_LABEL: str(attempt),
    }
    directive = attempts.directive(study, trial).to_json()
    annotations = {**(metadata.get("annotations") or {}), DIRECTIVE_ANNOTATION: directive}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def _fill(given: Json, defaults: Json) -> None:
    """Set what is not set, also inside of what is."""
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(given.get(name), dict):
            _fill(given[name], default)
        elif given.get(name) is None:
            given[name] = default


def _restrict(container: Json) -> None:
    context = container.get("securityContext") or {}
    container["securityContext"] = context
    # The API server refuses privileges together with a ban on gaining them.
    gains = context.get("privileged") or "SYS_ADMIN" in (
        (context.get("capabilities") or {}).get("add") or ()
    )
    escalation = {} if gains else {"allowPrivilegeEscalation": False}
    _fill(context, {**escalation, "capabilities": {"drop": ["ALL"]}})


def _wrap(trainer: Json) -> None:
    """Make our PID 1 start the user's command."""
    command = [*trainer["command"], *trainer.pop("args", ())]
    trainer["command"] = [_python(command[0]), "-m", "scaletune_trainer.main", "--", *command]
    # A PID 1 that never came to write its message leaves the reason in its last lines.
    _fill(trainer, {"terminationMessagePolicy": "FallbackToLogsOnError"})
    ports = trainer.setdefault("ports", [])
    if all(port.get("containerPort") != wire.METRICS_PORT for port in ports):
        ports.append({"name": "metrics", "containerPort": wire.METRICS_PORT})


def _python(program: str) -> str:
    """The Python that runs the script is the one that has the trainer package."""
    is_named = re.fullmatch(r"python[0-9.]*", PurePosixPath(program).name)
    return program if is_named else "python3"


def _protocol(trainer: Json, study: Study, trial: Trial, grace: int) -> list[Json]:
    uid = {"fieldRef": {"fieldPath": "metadata.uid"}}
    # Kubernetes replaces $(NAME) in values and reads $$ as $.
    spec = attempts.trial_spec(study, trial).to_json().replace("$", "$$")
    message = trainer.get("terminationMessagePath") or wire.TERMINATION_MESSAGE
    return [
        {"name": Variable.TRIAL, "value": spec},
        {"name": Variable.VOLUME, "value": VOLUME_PATH},
        {"name": Variable.INCARNATION, "valueFrom": uid},
        {"name": Variable.DIRECTIVE, "value": f"{DIRECTIVE_PATH}/{DIRECTIVE_FILE}"},
        {"name": Variable.METRICS_PORT, "value": str(wire.METRICS_PORT)},
        {"name": Variable.TERMINATION_MESSAGE, "value": message},
        {"name": Variable.STALL_SECONDS, "value": str(study.spec.template.stall_seconds)},
        {"name": Variable.SHUTDOWN_SECONDS, "value": str(max(1, grace - LEAVE_SECONDS))},
    ]


def _rendezvous(study: Study, address: str) -> list[Json]:
    """What torchrun has to know of several nodes: all of it is known beforehand."""
    template = study.spec.template
    index = {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX_ANNOTATION}']"}}
    return [
        {"name": "PET_NNODES", "value": str(template.nodes)},
        {"name": "PET_NPROC_PER_NODE", "value": str(template.processes_per_node)},
        {"name": "PET_NODE_RANK", "valueFrom": index},
        {"name": "PET_MASTER_ADDR", "value": address},
        {"name": "PET_MASTER_PORT", "value": str(RENDEZVOUS_PORT)},
    ]


def _set_environment(trainer: Json, ours: list[Json]) -> None:
    names = {str(each["name"]) for each in ours}
    theirs = [each for each in trainer.get("env") or () if each["name"] not in names]
    ours = [{**each, "name": str(each["name"])} for each in ours]
    trainer["env"] = [*theirs, *ours]


def _mount(spec: Json, trainer: Json, study: Study) -> None:
    directive = {
        "path": DIRECTIVE_FILE,
        "fieldRef": {"fieldPath": f"metadata.annotations['{DIRECTIVE_ANNOTATION}']"},
    }
    volumes: list[Json] = [
        {"name": DIRECTIVE, "downwardAPI": {"items": [directive]}},
        {"name": CHECKPOINTS, **_checkpoints(study)},
    ]
    mounts: list[Json] = [
        {"name": DIRECTIVE, "mountPath": DIRECTIVE_PATH, "readOnly": True},
        {"name": CHECKPOINTS, "mountPath": VOLUME_PATH},
    ]
    theirs = list(trainer.get("volumeMounts") or ())
    if all(mount.get("mountPath") != "/dev/shm" for mount in theirs):
        volumes.append({"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory"}})
        mounts.append({"name": SHARED_MEMORY, "mountPath": "/dev/shm"})
    spec["volumes"] = [*(spec.get("volumes") or ()), *volumes]
    trainer["volumeMounts"] = [*theirs, *mounts]


def _checkpoints(study: Study) -> dict[str, Any]:
    """The study's claim; without one, a place that lives as long as the pod."""
    if study.spec.checkpoints is None:
        return {"emptyDir": {}}
    claim = study.spec.checkpoints.persistent_volume_claim.claim_name
    return {"persistentVolumeClaim": {"claimName": claim}}
