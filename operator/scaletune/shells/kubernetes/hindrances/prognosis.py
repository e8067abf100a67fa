"""Prognosis: the condition Healthy of a Trial, where a failure is explained. Pure.

It appears with the first end that was not agreed on, and says what happened, whether it counts and
against whom, what comes next, and what a person may do. It is True again once a later attempt has
written a checkpoint or ended as agreed. A trial to which nothing happened has no such condition.
"""

from dataclasses import dataclass
from typing import Final

from scaletune.api.conditions import HEALTHY, Condition, condition, with_condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.failures import EVICTED, LOST, Verdict
from scaletune.core.lifecycle import Event
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.names import job_name
from scaletune.shells.kubernetes.seen.gang import Gang
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune_trainer.wire import Reason

NODE_LOST: Final = "NodeLost"
RECOVERED: Final = "Recovered"
_WORDS_MAX: Final = 1200
_COUNTED: Final = frozenset({"Crashed", "Stalled", LOST, EVICTED})
_UNCOUNTED: Final = frozenset({"Disrupted", "Terminated"})
_REMEDIES: Final = {
    "Diverged": "It counts against the configuration, as worse than every value of its rung."
    " If many diverge, narrow the parameters' ranges, such as the learning rate's",
    "OutOfMemory": "It counts against the configuration, as worse than every value of its rung."
    " If many do, raise the memory in template.pod, or narrow what needs memory, such as the batch"
    " size",
    "UserError": "An error of the script is not tried again, and counts in no rung. Logs:"
    " {logs}. Mend the script, and make a new Study",
    "RetriesExhausted": "It counts against the configuration. Logs: {logs}."
    " template.retries, now {retries}, says how many crashes in a row are too many",
}


@dataclass(frozen=True)
class Told:
    """What has to be said of a trial, in a condition and in an Event."""

    reason: str
    message: str


def after_end(study: Study, trial: Trial, verdict: Verdict) -> Told | None:
    """What to say of an attempt that has just ended; nothing when that was as agreed."""
    number = trial.status.attempts[-1].number
    what = f"attempt {number}: {verdict.reason or verdict.cause}"[-_WORDS_MAX:]
    if verdict.kind is not None:
        logs = f"kubectl logs -n {trial.metadata.namespace} job/{_job(trial)}"
        remedy = _REMEDIES[verdict.kind]
        remedy = remedy.format(logs=logs, retries=study.spec.template.retries)
        # An attempt that only read says nothing of what the trial has failed by.
        reason = verdict.kind if verdict.cause == Reason.REPLAYED else verdict.cause
        return Told(reason, f"{_sentence(what)} {remedy}.{_volume(study, verdict)}")
    if verdict.cause == Reason.OUT_OF_MEMORY:  # else it has a kind
        onwards = "It left no last words: the next attempt only reads its journal"
        return Told(verdict.cause, f"{_sentence(what)} {onwards}, and then the trial has failed.")
    if verdict.cause not in _COUNTED | _UNCOUNTED:
        return None
    count = _count(verdict, study.spec.template.retries)
    onwards = _onwards(trial, verdict, study.spec.template.retries)
    told = f"{_sentence(what)} {count}. {onwards}.{_volume(study, verdict)}"
    return Told(verdict.cause, told)


def _count(verdict: Verdict, retries: int) -> str:
    if verdict.cause in _UNCOUNTED:
        return "That counts as no failure"
    remedy = ""
    if verdict.cause == "Stalled":
        remedy = (
            ". If steps may take so long, raise template.stallSeconds; if not, look for a rank"
            " that waits for others"
        )
    return (
        f"That is crash {verdict.crashes} in a row without a newer checkpoint, of at most"
        f" {retries}{remedy}"
    )


def _onwards(trial: Trial, verdict: Verdict, retries: int) -> str:
    checkpoint = trial.status.checkpoint
    if verdict.is_unheard and verdict.crashes > retries:
        return (
            "The next attempt only reads its journal: with a newer checkpoint there the trial goes"
            " on, without it has failed"
        )
    if verdict.is_unheard:
        return "The next attempt first reads its journal, and goes on from the last checkpoint"
    if checkpoint is None:
        return "The next attempt starts from the beginning, since there is no checkpoint"
    return f"The next attempt goes on from the checkpoint of step {checkpoint.step}"


def _volume(study: Study, verdict: Verdict) -> str:
    if "checkpoint volume" not in verdict.reason or study.spec.checkpoints is None:
        return ""
    claim = study.spec.checkpoints.persistent_volume_claim.claim_name
    return (
        f" Make room on PersistentVolumeClaim {claim}, and see that it is mounted for writing and"
        " that the pods' user may write to it."
    )


def while_running(trial: Trial, gang: Gang) -> Told | None:
    """What to say of pods that nobody reaches; nothing while all do."""
    lost = next((pod for pod in gang.pods if pod.is_unreachable), None)
    return None if lost is None else _lost(trial, lost)


def _lost(trial: Trial, pod: Pod) -> Told:
    taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    return Told(
        NODE_LOST,
        f"node {pod.node} does not answer, and pod {pod.name} on it may still be training: the next"
        " attempt waits until that pod is gone. If the node comes back, all goes on by itself. If"
        f" it is off for good: kubectl delete pod -n {pod.namespace} {pod.name} --force, or"
        f" kubectl taint node {pod.node} {taint}. That counts as no failure.",
    )


def is_out_of_reach(trial: Trial) -> bool:
    """Whether the trial has a pod on a node that does not answer."""
    found = condition(trial.status.conditions, HEALTHY)
    is_lost = found is not None and found.status == "False" and found.reason == NODE_LOST
    return is_lost and attempts.is_open(trial)


def of_ended(study: Study, trial: Trial, verdict: Verdict, now: float) -> Trial:
    """The trial after the end of its latest attempt."""
    told = after_end(study, trial, verdict)
    if told is not None:
        return _with(trial, "False", told, now)
    has_agreed = verdict.event in (Event.COMPLETED, Event.PAUSED, Event.STOPPED)
    return _agreed(trial, now) if has_agreed else trial


def of_running(trial: Trial, gang: Gang, now: float) -> Trial:
    """The trial while its pods run, or nobody knows whether they do."""
    told = while_running(trial, gang)
    return _recovered(trial, now) if told is None else _with(trial, "False", told, now)


def _recovered(trial: Trial, now: float) -> Trial:
    """The trial once what its condition says is over."""
    found = condition(trial.status.conditions, HEALTHY)
    if found is None or found.status == "True":
        return trial
    attempt, checkpoint = trial.status.attempts[-1], trial.status.checkpoint
    if found.reason == NODE_LOST:
        return _with(trial, "True", Told(RECOVERED, "all nodes of its pods answer again"), now)
    is_newer = checkpoint is not None and checkpoint.incarnation == attempt.incarnation
    if is_newer:
        words = f"attempt {attempt.number} has written a newer checkpoint"
        return _with(trial, "True", Told(RECOVERED, words), now)
    return trial


def _agreed(trial: Trial, now: float) -> Trial:
    """The trial after an end that all ranks agreed on."""
    found = condition(trial.status.conditions, HEALTHY)
    if found is None or found.status == "True":
        return trial
    words = f"attempt {trial.status.attempts[-1].number} ended as agreed"
    return _with(trial, "True", Told(RECOVERED, words), now)


def _with(trial: Trial, status: str, told: Told, now: float) -> Trial:
    new = Condition.model_validate(
        {
            "type": HEALTHY,
            "status": status,
            "reason": told.reason,
            "message": told.message[:2048],
            "last_transition_time": timestamp(now),
            "observed_generation": trial.metadata.generation,
        }
    )
    conditions = with_condition(trial.status.conditions, new)
    return trial.model_copy(
        update={"status": trial.status.model_copy(update={"conditions": conditions})}
    )


def _job(trial: Trial) -> str:
    return job_name(trial.metadata.name, trial.status.attempts[-1].number)


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
