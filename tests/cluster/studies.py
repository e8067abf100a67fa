"""Studies as a user would write them for the test cluster, and what became of them."""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scaletune.api.conditions import FINISHED, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.plan import judge
from scaletune.shells.kubernetes.seen.snapshot import read_study, read_trial
from tests.cluster import mounts
from tests.cluster.connection import Connection
from tests.cluster.operators import wait_until

Json = dict[str, Any]

EXAMPLES = f"{mounts.TRAINER.path}/examples"
QUADRATIC = ["python3", f"{EXAMPLES}/quadratic.py"]
PLAIN = {"SCALETUNE_LAUNCHER": "plain"}
"""Without torchrun, a pod of the torch-free script is ready in a second."""


def study(
    namespace: str,
    name: str,
    command: Sequence[str] = QUADRATIC,
    environment: Mapping[str, str] = PLAIN,
    **spec: Any,
) -> Json:
    """A Study whose pod template says only what a user has to say, and none of the defaults."""
    pod = mounts.pod_spec(command, mounts.PYTHON, environment)
    for default in ("restartPolicy", "automountServiceAccountToken"):
        del pod[default]
    pod["securityContext"] = {"runAsUser": mounts.USER}
    del pod["containers"][0]["securityContext"]
    return {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "x", "float": {"min": 0.0, "max": 1.0}}],
            "training": {"unit": "Step", "max": 9},
            "template": {"pod": {"spec": pod}},
            **spec,
        },
    }


def claim() -> Json:
    """spec.checkpoints, on the claim that the fixture `checkpoints` makes."""
    return {"persistentVolumeClaim": {"claimName": "checkpoints"}}


def stored(connection: Connection, namespace: str, name: str) -> tuple[Study, list[Trial]]:
    """The Study and its Trials as the API server holds them."""
    made = read_study(connection.get("study", name, "-n", namespace))
    items = connection.get("trials", "-n", namespace)["items"]
    trials = [trial for trial in map(read_trial, items) if trial.spec.study == name]
    return made, sorted(trials, key=lambda trial: trial.index)


def wait_for_end(
    connection: Connection, namespace: str, name: str, seconds_max: float
) -> tuple[Study, list[Trial]]:
    """What is stored once the condition Finished holds."""

    def is_finished() -> bool:
        found = condition(stored(connection, namespace, name)[0].status.conditions, FINISHED)
        return found is not None and found.status == "True"

    wait_until(f"study {name} ends", is_finished, seconds_max)
    return stored(connection, namespace, name)


def decisions(trials: Sequence[Trial]) -> list[tuple[int, int, int, str | None, Any]]:
    """(number, trial, milestone, decision, evidence) of every record, in the order of numbers."""
    return sorted(
        (record.number, trial.index, record.at, record.decision, record.evidence)
        for trial in trials
        for record in trial.status.milestones
    )


def promotions(trials: Sequence[Trial]) -> list[tuple[int, int, int, Any]]:
    """(number, trial, milestone, evidence) of every promotion."""
    return sorted(
        (record.promotion.number, trial.index, record.at, record.promotion.evidence)
        for trial in trials
        for record in trial.status.milestones
        if record.promotion is not None
    )


def replayed(made: Study, trials: Sequence[Trial]) -> list[tuple[int, int, int, str | None, Any]]:
    """The decisions that follow from the stored records alone, in the order of their numbers."""
    again, _ = judge(made, Ledger.of(made, [_undecided(trial) for trial in trials]))
    return [(d.number, d.trial, d.milestone, d.decision, d.evidence) for d in again]


def _undecided(trial: Trial) -> Trial:
    unknown = {"decision": None, "evidence": None, "promotion": None}
    records = tuple(record.model_copy(update=unknown) for record in trial.status.milestones)
    status = trial.status.model_copy(update={"milestones": records, "state": "Running"})
    spec = trial.spec.model_copy(update={"state": "Running"})
    return trial.model_copy(update={"spec": spec, "status": status})


@contextmanager
def watched(connection: Connection, kind: str, namespace: str) -> Iterator[dict[str, set[str]]]:
    """The uids that objects of a kind had, by name, while the context lasts.

    When the API server goes away, the watch is begun anew once it is back.
    """
    seen: dict[str, set[str]] = {}
    is_over = threading.Event()
    running: list[subprocess.Popen[str]] = []
    form = 'jsonpath={.metadata.name} {.metadata.uid}{"\\n"}'
    command = [str(connection.program), "get", kind, "-n", namespace, "--watch", "-o", form]
    environment = {"KUBECONFIG": str(connection.kubeconfig), "KUBECACHEDIR": str(connection.cache)}

    def read() -> None:
        while not is_over.is_set():
            with subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as process:
                running[:] = [process]
                assert process.stdout is not None
                for line in process.stdout:
                    name, uid = line.split()
                    seen.setdefault(name, set()).add(uid)
            is_over.wait(0.5)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        is_over.set()
        while reader.is_alive():
            for process in running:
                process.terminate()
            reader.join(0.2)
