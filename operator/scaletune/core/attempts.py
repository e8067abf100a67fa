"""Attempts: what a shell writes down as a trial's processes start, run and end.

Pure functions from Trial to Trial, so that every shell keeps the same books. None of them decides:
whether to start follows from the intent, what an end means from `failures`, what a report means
from `observe` and `plan`.
"""

from scaletune.api.configuration import Checkpoint
from scaletune.api.record import Attempt
from scaletune.api.study import Study
from scaletune.api.trial import Trial, TrialStatus
from scaletune.api.trial_name import trial_name
from scaletune.core.failures import Verdict, unread_fault
from scaletune.core.frame import Frame, cost_metric_of
from scaletune.core.lifecycle import (
    Event,
    after,
    highest_milestone,
    is_outdated,
    resumes_from,
)
from scaletune.core.observe import Fault
from scaletune.core.reports import Telemetry
from scaletune.core.schedule import leg
from scaletune_trainer import wire

ATTEMPTS_KEPT = 8


def should_run(frame: Frame, trial: Trial) -> bool:
    """Whether processes of this trial should exist."""
    return (
        trial.spec.state == "Running"
        and frame.holds_place(trial)
        and frame.next_level(trial) is not None
    )


def trial_spec(study: Study, trial: Trial) -> wire.TrialSpec:
    """What the trainer of the latest attempt is told; fixed for the life of the incarnation."""
    frame, (metric, goal) = Frame.of(study), study.spec.judged_by(trial.spec.role)
    unheard, part = _unheard(trial), leg(trial)
    has_failed = trial.status.crashes > study.spec.template.retries
    return wire.TrialSpec(
        study=study.metadata.name,
        study_uid=study.metadata.uid,
        trial=trial.metadata.name,
        index=trial.index,
        attempt=trial.status.attempts[-1].number,
        parameters=part.used,
        seed=trial.spec.seed,
        metric=metric,
        goal=goal,
        unit=study.spec.training.unit,
        max=frame.full(trial),
        milestones=frame.levels_of(trial),
        restore=_place(study, resumes_from(trial)),
        processes=study.spec.template.devices,
        replay=unheard,
        keep=frame.population > 0,
        cost_metric=cost_metric_of(study) if trial.spec.role == "Search" else "",
        changes_at=part.changes_at,
        changed=part.is_changed,
        only_replay=(bool(unheard) and has_failed) or unread_fault(trial) is not None,
    )


def _unheard(trial: Trial) -> tuple[wire.Life, ...]:
    """The earlier lives of the trial whose journals are to be read."""
    given_up = trial.status.exploits[-1].attempt if trial.status.exploits else 0
    return tuple(
        wire.Life(each.incarnation, each.number, each.unheard_after)
        for each in trial.status.attempts[:-1]
        if each.incarnation and each.unheard_after is not None and each.number > given_up
    )


def _place(study: Study, checkpoint: Checkpoint | None) -> wire.Place | None:
    if checkpoint is None:
        return None
    other = checkpoint.trial
    name = None if other is None else trial_name(study.metadata.name, other)
    return wire.Place(checkpoint.incarnation, checkpoint.step, name)


def directive(study: Study, trial: Trial) -> wire.Directive:
    """What the trainer is to do now: desired state, harmless to repeat or delay."""
    state, frame = trial.spec.state, Frame.of(study)
    if state == "Running" and is_outdated(trial):
        state = "Paused"  # the next attempt goes on from somewhere else
    return wire.Directive(
        generation=trial.metadata.generation,
        until=frame.until(trial),
        state=wire.State(state),
        acknowledged=trial.status.acknowledged,
        remove=_passed(study, trial) if frame.population else superseded(trial),
    )


def lent(study: Study, trial: Trial) -> tuple[Checkpoint, ...]:
    """The trial's checkpoints from which others may still go on."""
    records = trial.status.milestones
    kept_from = study.status.all_reached
    return tuple(each.checkpoint for each in records if each.checkpoint and each.at >= kept_from)


def _passed(study: Study, trial: Trial) -> tuple[wire.Place, ...]:
    """The trial's checkpoints from which nobody goes on any more."""
    needed = {*lent(study, trial), trial.status.checkpoint}
    records = trial.status.milestones
    known = [each.checkpoint for each in records if each.checkpoint is not None]
    return tuple(wire.Place(each.incarnation, each.step) for each in known if each not in needed)


def superseded(trial: Trial) -> tuple[wire.Place, ...]:
    """Checkpoints from which earlier attempts went on, and that no attempt will read any more."""
    counts = trial.status.checkpoint
    read = [each.restored for each in trial.status.attempts if each.restored is not None]
    return tuple(
        wire.Place(each.incarnation, each.step)
        for each in read
        if counts is not None and each.incarnation != counts.incarnation
    )


def next_number(trial: Trial) -> int:
    """The number of the trial's next attempt, from 1."""
    return trial.status.attempts[-1].number + 1 if trial.status.attempts else 1


def begun(trial: Trial, incarnation: str, template_hash: str, at: str) -> Trial:
    """The trial with a new attempt, stored before its processes are started."""
    attempt = Attempt(
        number=next_number(trial),
        incarnation=incarnation,
        template_hash=template_hash,
        started_at=at,
        restored=resumes_from(trial),
    )
    kept = (*trial.status.attempts, attempt)[-ATTEMPTS_KEPT:]
    return _with(trial, attempts=kept, acknowledged=0)


def identified(trial: Trial, incarnation: str) -> Trial:
    """The trial whose latest attempt lives as this incarnation, where only its start tells which.

    An attempt may have several, one after the other; each counts its own sequence.
    """
    attempt = trial.status.attempts[-1]
    if attempt.incarnation == incarnation:
        return trial
    earlier = attempt.device_seconds if attempt.incarnation else 0.0
    update = {"incarnation": incarnation, "earlier_device_seconds": earlier}
    known = attempt.model_copy(update=update)
    return _with(trial, attempts=(*trial.status.attempts[:-1], known), acknowledged=0)


def interrupted(trial: Trial) -> Trial:
    """The trial whose latest attempt has lost its processes, and will have new ones."""
    current = trial.status.state or "Pending"
    return _with(trial, state=after(trial.spec.state, current, Event.LOST))


def disrupted(trial: Trial, words: str) -> Trial:
    """The trial once the cluster has said that it takes processes of its latest attempt away.

    They may be gone before their end is seen, and what was said with them.
    """
    attempt = trial.status.attempts[-1]
    if attempt.disruption or not words:
        return trial
    marked = attempt.model_copy(update={"disruption": words[:1024]})
    return _with(trial, attempts=(*trial.status.attempts[:-1], marked))


def started(trial: Trial) -> Trial:
    """The trial, running."""
    current = trial.status.state or "Pending"
    return _with(trial, state=after(trial.spec.state, current, Event.STARTED), reason="")


def charged(trial: Trial, device_seconds: float) -> Trial:
    """The trial with the device seconds that its latest attempt has used so far."""
    if not trial.status.attempts:
        return trial
    attempt = trial.status.attempts[-1]
    attempts = (
        *trial.status.attempts[:-1],
        attempt.model_copy(update={"device_seconds": device_seconds}),
    )
    total = trial.status.device_seconds - attempt.device_seconds + device_seconds
    return _with(trial, attempts=attempts, device_seconds=total)


def heard(trial: Trial, telemetry: Telemetry) -> Trial:
    """The trial with the checkpoint and the sequence that its trainer told of.

    Call it together with `observe`: a sequence is acknowledged when its reports are stored.
    """
    gave_up = is_outdated(trial)
    trial = trial if gave_up else _replayed(trial, telemetry)
    status = trial.status
    checkpoint = status.checkpoint
    if telemetry.checkpoint is not None and not gave_up:
        checkpoint = Checkpoint(incarnation=telemetry.incarnation, step=telemetry.checkpoint)
    acknowledged = max(status.acknowledged, telemetry.sequence)
    if checkpoint == status.checkpoint and acknowledged == status.acknowledged:
        return trial
    return _with(trial, checkpoint=checkpoint, acknowledged=acknowledged)


def _replayed(trial: Trial, telemetry: Telemetry) -> Trial:
    """The trial once a later attempt has told what earlier ones could not."""
    if not telemetry.replayed:
        return trial
    told = {each.incarnation for each in telemetry.replayed}
    heard = tuple(
        each.model_copy(update={"unheard_after": None}) if each.incarnation in told else each
        for each in trial.status.attempts
    )
    trial = _with(trial, attempts=heard)
    found = [each for each in telemetry.replayed if each.checkpoint is not None]
    if not found:
        return trial
    latest = Checkpoint(incarnation=found[-1].incarnation, step=found[-1].checkpoint)
    if latest == trial.status.checkpoint:
        return trial
    # The crash that nobody explained was the first one after this checkpoint.
    return _with(trial, checkpoint=latest, crashes=min(trial.status.crashes, 1))


def ended(trial: Trial, verdict: Verdict) -> Trial:
    """The trial after the end of its latest attempt. Its last reports were stored before."""
    attempts = trial.status.attempts
    if attempts:
        unheard = trial.status.acknowledged if verdict.is_unheard else None
        update = {"cause": verdict.cause, "unheard_after": unheard}
        closed = attempts[-1].model_copy(update=update)
        attempts = (*attempts[:-1], closed)
    state = after(trial.spec.state, trial.status.state or "Pending", verdict.event)
    return _with(
        trial, attempts=attempts, state=state, reason=verdict.reason[:1024], crashes=verdict.crashes
    )


def fault_of(trial: Trial, verdict: Verdict) -> Fault | None:
    """The fault that `observe` ranks the trial by, when it has failed for good."""
    return None if verdict.kind is None else Fault(trial.index, verdict.kind, verdict.reason)


def at_rest(frame: Frame, trial: Trial) -> Trial:
    """The trial without any process: what follows from its intent and its records alone.

    An attempt may be lost after its last report was stored: then nothing is left to do, and the
    trial has arrived as if it had said so.
    """
    state = trial.status.state or "Pending"
    if trial.status.failure is not None:
        event = Event.FAILED
    elif trial.spec.state != "Running":
        event = Event.WITHDRAWN
    elif frame.next_level(trial) is None:
        done = highest_milestone(trial) == frame.full(trial)
        event = Event.COMPLETED if done else Event.REACHED
    else:
        return trial
    settled = after(trial.spec.state, state, event)
    return trial if settled == state else _with(trial, state=settled)


def is_open(trial: Trial) -> bool:
    """Whether the latest attempt has begun and its end was not stored yet."""
    attempts = trial.status.attempts
    return bool(attempts) and not attempts[-1].cause


def _with(trial: Trial, **update: object) -> Trial:
    status: TrialStatus = trial.status.model_copy(update=update)
    return trial.model_copy(update={"status": status})
