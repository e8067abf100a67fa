"""Books: what the pods of a study say, entered in its Trials. Pure; decides nothing.

For each trial with an open attempt: who it is (the pod's uid), whether it started, what it
reported, what it cost, and how it ended. All of it is one change of the Trial's status, so that the
last reports of an attempt and its end are stored together or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts, failures
from scaletune.core.failures import End, Verdict
from scaletune.core.lifecycle import Event
from scaletune.core.observe import Fault, Report, observe
from scaletune.core.reports import Telemetry, reports_of
from scaletune.shells.kubernetes.hindrances import prognosis, requeues, starting
from scaletune.shells.kubernetes.seen.gang import Gang
from scaletune.shells.kubernetes.seen.reports import telemetry_of
from scaletune.shells.kubernetes.seen.snapshot import Snapshot
from scaletune.shells.kubernetes.seen.views import Pod

CHARGE_SECONDS: Final = 10.0
# Where nothing else is new, and no bound on cost hangs on it.
CHARGE_SECONDS_ALONE: Final = 60.0


@dataclass(frozen=True)
class _Page:
    """What is new about one trial."""

    trial: Trial
    reports: list[Report] = field(default_factory=list)
    verdict: Verdict | None = None
    fault: Fault | None = None


def entered(snapshot: Snapshot, scraped: Mapping[str, Telemetry], now: float) -> list[Trial]:
    """The Trials whose status has to be stored, in the order of their index."""
    pages = {
        index: _page(snapshot, trial, scraped, now)
        for index, trial in snapshot.trials.items()
        if attempts.is_open(trial)
    }
    read = {index: page.trial for index, page in pages.items()}
    reports = [report for page in pages.values() for report in page.reports]
    faults = [page.fault for page in pages.values() if page.fault is not None]
    observed = observe(snapshot.study, (snapshot.trials | read).values(), reports, faults)
    read |= {trial.index: trial for trial in observed}
    for index, page in pages.items():
        if page.verdict is not None:
            read[index] = _closed(snapshot.study, read[index], page.verdict, now)
    waiting = sum(map(_is_waiting, read.values()))
    devices = snapshot.study.spec.template.devices
    is_bounded = snapshot.study.spec.budget.gpu_hours is not None
    worth = []
    for index, trial in sorted(read.items()):
        before = snapshot.trials[index]
        alone = CHARGE_SECONDS if is_bounded or _progresses(before, trial) else CHARGE_SECONDS_ALONE
        # What waits may wait for long and by the hundred, and pods with a node cost all the while.
        seconds = waiting * CHARGE_SECONDS_ALONE if _is_waiting(trial) else alone
        if _is_worth_storing(before, trial, devices * seconds):
            worth.append(trial)
    return worth


def _page(snapshot: Snapshot, trial: Trial, scraped: Mapping[str, Telemetry], now: float) -> _Page:
    gang = snapshot.gang(trial)
    if gang is None:
        return _without_pods(snapshot, trial)
    pod, was_waiting = gang.first, trial.status.state != "Running"
    if pod.scheduled is None and not pod.is_over:
        # Nobody yet: what never started can go without a trace.
        return _Page(_charged(snapshot, trial, gang, now))
    if _is_to_be_replaced(snapshot, trial, pod):
        return _Page(trial)
    trial = _charged(snapshot, attempts.identified(trial, pod.uid), gang, now)
    trial = attempts.disrupted(trial, gang.disruption)
    is_withdrawn = bool(trial.status.attempts[-1].withdrawal) and snapshot.job(trial) is None
    if gang.has_started and was_waiting and not is_withdrawn and not starting.unstarted(gang):
        trial = requeues.unhindered(attempts.started(trial), now)
    reports: list[Report] = []
    said = scraped.get(pod.uid)
    for telemetry in telemetry_of(pod, said, _has_journal(snapshot)):
        trial = attempts.heard(trial, telemetry)
        reports += reports_of(trial, telemetry)
    page = _Page(trial, reports)
    end = gang.end()
    if end is None:
        if said is not None and said.refusal:
            return _failed(page, failures.incompatible(trial, said.refusal))
        return replace(page, trial=prognosis.of_running(trial, gang, now))
    obstacle = starting.never_whole(gang, end) if was_waiting else starting.without_trainer(gang)
    if obstacle is not None or (was_waiting and is_withdrawn):
        return _not_started(page, obstacle, now)
    return _judged(snapshot, page, end)


def _charged(snapshot: Snapshot, trial: Trial, gang: Gang, now: float) -> Trial:
    devices = snapshot.study.spec.template.processes_per_node
    attempt = trial.status.attempts[-1]
    cost = attempt.earlier_device_seconds + gang.device_seconds(devices, now)
    # What a pod has cost that is gone by now is not forgotten.
    cost = max(cost, attempt.device_seconds)
    return attempts.charged(trial, cost)


def _not_started(page: _Page, obstacle: starting.Obstacle | None, now: float) -> _Page:
    """The end of an attempt that never started, or only in part: nothing that would count."""
    trial = page.trial
    withdrawal = trial.status.attempts[-1].withdrawal
    if withdrawal or obstacle is None:
        return replace(page, verdict=requeues.verdict(trial, withdrawal))
    if obstacle.reason != starting.INCOMPLETE or not requeues.is_hindered(trial):
        trial = requeues.hindered(trial, obstacle, now)
    ended = requeues.verdict(trial, requeues.CANNOT_START, obstacle.message)
    return replace(page, trial=trial, verdict=ended)


def _without_pods(snapshot: Snapshot, trial: Trial) -> _Page:
    page, withdrawal = _Page(trial), trial.status.attempts[-1].withdrawal
    is_gone = snapshot.job(trial) is None and not snapshot.has_live_pods(trial)
    if withdrawal and requeues.is_waiting(trial) and is_gone:
        # It may have come to run after all, in its last moment.
        was_seen = bool(trial.status.attempts[-1].incarnation)
        verdict = replace(requeues.verdict(trial, withdrawal), is_unheard=was_seen)
        return replace(page, verdict=verdict)
    end = _vanished(snapshot, trial)
    return page if end is None else _judged(snapshot, page, end)


def _vanished(snapshot: Snapshot, trial: Trial) -> End | None:
    """The end of an attempt that has no pod; None while one is still to come."""
    if snapshot.has_live_pods(trial):
        return None
    job, was_seen = snapshot.job(trial), bool(trial.status.attempts[-1].incarnation)
    if job is None and was_seen:
        return End(None, disrupted=True, is_unheard=True, said="its Job was deleted")
    if job is not None and job.is_finished:
        return End(exit_code=None, is_unheard=was_seen)
    return None


def _is_to_be_replaced(snapshot: Snapshot, trial: Trial, pod: Pod) -> bool:
    """Whether its Job, suspended and resumed, has not yet made the pod that follows this one."""
    job, known = snapshot.job(trial), trial.status.attempts[-1].incarnation
    is_noted = pod.uid == known and requeues.is_waiting(trial) and pod.is_deleted and pod.has_ended
    return is_noted and job is not None and not job.is_finished and not job.is_deleted


def _judged(snapshot: Snapshot, page: _Page, end: End) -> _Page:
    disruption = page.trial.status.attempts[-1].disruption
    if disruption and not end.disrupted:
        end = replace(end, disrupted=True, said=end.said or disruption)
    if not _has_journal(snapshot) or _is_heard(page.trial, end):
        end = replace(end, is_unheard=False)
    verdict = failures.verdict(page.trial, end, snapshot.study.spec.template.retries)
    job = snapshot.job(page.trial)
    is_the_trials = verdict.event is not Event.LOST and verdict.kind != "RetriesExhausted"
    if job is not None and job.is_suspended and not is_the_trials:
        return replace(page, trial=attempts.interrupted(page.trial))
    return _failed(page, verdict)


def _has_journal(snapshot: Snapshot) -> bool:
    """Whether a journal outlives its pod."""
    return snapshot.study.spec.checkpoints is not None


def _is_heard(trial: Trial, end: End) -> bool:
    """Whether all reports were stored before the end, however few its last words hold."""
    message = end.message
    return message is not None and trial.status.acknowledged >= message.sequence > 0


def _failed(page: _Page, verdict: Verdict) -> _Page:
    return replace(page, verdict=verdict, fault=attempts.fault_of(page.trial, verdict))


def _closed(study: Study, trial: Trial, verdict: Verdict, now: float) -> Trial:
    """The trial after its attempt's end; without newer words those of its last decision stay."""
    words = verdict.reason or trial.status.reason
    trial = attempts.ended(trial, replace(verdict, reason=words))
    trial = requeues.postponed(trial, study.spec.parallelism, now)
    return prognosis.of_ended(study, trial, verdict, now)


def _progresses(before: Trial, after: Trial) -> bool:
    """Whether a checkpoint or a sequence is to be stored."""
    old, new = before.status, after.status
    return (old.checkpoint, old.acknowledged) != (new.checkpoint, new.acknowledged)


def _is_waiting(trial: Trial) -> bool:
    """Whether nothing happens until somebody does something: a node, or a person."""
    return requeues.is_waiting(trial) or prognosis.is_out_of_reach(trial)


def _is_worth_storing(before: Trial, after: Trial, cost_min: float) -> bool:
    """Anything but cost, checkpoint, acknowledged sequence and the pod's uid is stored at once.

    These are stored along with it (a pod's start changes the state), or when enough cost has
    gathered: little, if a checkpoint or a sequence is to be stored as well.
    """
    if _apart_from_progress(before) != _apart_from_progress(after):
        return True
    cost = after.status.device_seconds - before.status.device_seconds
    return cost >= cost_min


def _apart_from_progress(trial: Trial) -> Trial:
    status = trial.status.model_copy(
        update={
            "attempts": tuple(
                each.model_copy(update={"device_seconds": 0.0, "incarnation": ""})
                for each in trial.status.attempts
            ),
            "device_seconds": 0.0,
            "checkpoint": None,
            "acknowledged": 0,
        }
    )
    return trial.model_copy(update={"status": status})
