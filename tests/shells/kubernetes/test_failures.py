"""Every way to fail, as a table: its cause, what is counted, and the words that a user reads."""

from dataclasses import dataclass
from typing import Any

import pytest

from scaletune.api.conditions import HEALTHY, condition
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.turn import mishaps
from scaletune.shells.kubernetes.turn.books import entered
from scaletune_trainer.wire import Reason, TerminationMessage
from tests.shells.kubernetes.given import (
    NOW,
    attempt,
    ended,
    raw_job,
    raw_pod,
    raw_trial,
    snapshot,
)

Json = dict[str, Any]

FULL = (
    "cannot write the checkpoint /scaletune/checkpoints/u/t/i/checkpoints/4.partial:"
    " No space left on device. Is the checkpoint volume full, read-only or gone?"
)


def said(reason: Reason, code: int, error: str = "") -> Json:
    """The state of a container whose PID 1 said why it ended."""
    return ended(TerminationMessage(reason, step=4, error=error), code, "Error")


def disruption(reason: str, message: str) -> Json:
    return {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "True",
                "lastTransitionTime": "2025-11-24T15:59:00Z",
            },
            {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message},
        ]
    }


DRAINED = disruption("EvictionByEvictionAPI", "Eviction API: evicting")
FULL_NODE = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
}
SHORT_NODE = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "Pod was rejected: The node had condition: [MemoryPressure]. ",
}


@dataclass(frozen=True)
class Case:
    """A pod's end, and what becomes of it; `crashes` were 1 before."""

    name: str
    pod: Json | None
    cause: str
    crashes: int = 1
    kind: str | None = None
    words: tuple[str, ...] = ()
    retries: int = 3
    checkpoint: Json | None = None
    job: Json | None = None

    def __str__(self) -> str:
        return self.name


def pod(state: Json, **status: Any) -> Json:
    return raw_pod(uid="life", state=state, **status)


JOURNAL = "The next attempt first reads its journal, and goes on from the last checkpoint"
NEXT = "The next attempt starts from the beginning, since there is no checkpoint"
CASES = [
    Case(
        "the objective is not finite",
        pod(said(Reason.DIVERGED, 0)),
        "Diverged",
        kind="Diverged",
        words=("the objective was not finite", "counts against the configuration", "learning rate"),
    ),
    Case(
        "the script runs out of memory",
        pod(said(Reason.OUT_OF_MEMORY, 44, "MemoryError")),
        "OutOfMemory",
        kind="OutOfMemory",
        words=("MemoryError", "counts against the configuration", "raise the memory"),
    ),
    Case(
        "the kernel kills it for memory",
        pod(ended("", 137, "OOMKilled")),
        "OutOfMemory",
        words=("for want of memory", "only reads its journal", "then the trial has failed"),
    ),
    Case(
        "the script fails at once",
        pod(said(Reason.USER_ERROR, 43, "ImportError: no module named x")),
        "UserError",
        kind="UserError",
        words=("ImportError", "not tried again", "kubectl logs -n ml job/s-0000-a1", "new Study"),
    ),
    Case(
        "it crashes later",
        pod(said(Reason.CRASHED, 1, "NCCL error")),
        "Crashed",
        crashes=2,
        words=("NCCL error", "crash 2 in a row without a newer checkpoint, of at most 3", NEXT),
    ),
    Case(
        "it crashes after a newer checkpoint",
        pod(said(Reason.CRASHED, 1, "NCCL error")),
        "Crashed",
        crashes=1,
        words=("crash 1 in a row", "goes on from the checkpoint of step 4"),
        checkpoint={"incarnation": "life", "step": 4},
    ),
    Case(
        "it crashes too often",
        pod(said(Reason.CRASHED, 1, "NCCL error")),
        "Crashed",
        crashes=2,
        kind="RetriesExhausted",
        words=("2 crashes in a row without a newer checkpoint", "NCCL error", "template.retries"),
        retries=1,
    ),
    Case(
        "it hangs",
        pod(said(Reason.STALLED, 45, "no report and no checkpoint for 60 s")),
        "Stalled",
        crashes=2,
        words=("no report and no checkpoint", "template.stallSeconds", NEXT),
    ),
    Case(
        "the checkpoint volume is full",
        pod(said(Reason.CRASHED, 1, FULL)),
        "Crashed",
        crashes=2,
        words=("No space left on device", "Make room on PersistentVolumeClaim checkpoints"),
    ),
    Case(
        "it is killed without a word",
        pod(ended("", 137, "Error")),
        "Crashed",
        crashes=2,
        words=("exit code 137", JOURNAL),
    ),
    Case(
        "it is drained",
        pod(said(Reason.TERMINATED, 143), **DRAINED),
        "Disrupted",
        words=("Eviction API: evicting", "That counts as no failure", NEXT),
    ),
    Case(
        "it is drained while it fails",
        pod(said(Reason.CRASHED, 1, "connection reset"), **DRAINED),
        "Disrupted",
        words=("That counts as no failure",),
    ),
    Case(
        "it is asked to leave",
        pod(said(Reason.TERMINATED, 143)),
        "Terminated",
        words=("SIGTERM", "That counts as no failure", NEXT),
    ),
    Case(
        "the kubelet evicts it for what it wrote",
        pod(said(Reason.TERMINATED, 143), **FULL_NODE),
        "Evicted",
        crashes=2,
        words=("ephemeral local storage usage exceeds", "crash 2 in a row"),
    ),
    Case(
        "the kubelet has no room left for anybody",
        pod(said(Reason.TERMINATED, 143), **SHORT_NODE),
        "Disrupted",
        words=("MemoryPressure", "That counts as no failure"),
    ),
    Case(
        "its pod is gone, and its Job failed",
        None,
        "Lost",
        crashes=2,
        words=("gone without a word", JOURNAL),
        job=raw_job(Failed="True"),
    ),
    Case("somebody deleted its Job", None, "Disrupted", words=("Job was deleted", JOURNAL)),
]


def _closed(case: Case) -> tuple[Trial, Trial]:
    """The Trial before and after its end was entered."""
    status: Json = {
        "state": "Running",
        "crashes": 1,
        "attempts": [attempt(incarnation="life")],
        "checkpoint": case.checkpoint,
    }
    taken = snapshot(
        trials=[raw_trial(0, **status)],
        jobs=(raw_job(),) if case.pod else ((case.job,) if case.job else ()),
        pods=(case.pod,) if case.pod else (),
        template={"retries": case.retries},
    )
    [trial] = entered(taken, {}, NOW)
    return taken.trials[0], trial


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_failure_has_its_cause_its_counter_and_its_words(case: Case) -> None:
    before, trial = _closed(case)

    status = trial.status
    assert status.attempts[-1].cause == case.cause
    assert status.crashes == case.crashes
    assert (status.failure.kind if status.failure else None) == case.kind
    assert status.state == ("Pending" if case.kind is None else "Failed")
    found = condition(status.conditions, HEALTHY)
    assert found is not None
    assert (found.status, found.reason) == ("False", case.cause)
    for words in case.words:
        assert words in found.message
    # The same stands in an Event.
    [bad] = mishaps.news({0: before}, [trial])
    event = bad.manifest(NOW)
    assert (event["type"], event["reason"]) == ("Warning", case.cause)
    assert event["message"] == found.message[:1024]
