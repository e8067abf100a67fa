"""The life of a trial, as a table.

Two facts make up where a trial stands: the *intent* (`spec.state` and `spec.until`, written by the
plan alone) and the *state* (`status.state`, written by the shell from what it observes). A trial
whose intent says Paused or Stopped while its state is still Running is *leaving*: that is no state
of its own. The table says which observation leads from which state to which; the diagram in
docs/architecture.md is drawn from it, so it cannot lie.

It is here, and not in a shell, that it is decided who holds a place.
"""

from enum import StrEnum
from typing import NamedTuple

from scaletune.api.configuration import Checkpoint, Exploit
from scaletune.api.trial import TERMINAL, Intent, Trial, TrialState


class Event(StrEnum):
    """What a shell can observe about a trial's processes."""

    STARTED = "Started"  # an attempt's processes run
    REACHED = "Reached"  # left with exit 0 at `until`, with a checkpoint
    COMPLETED = "Completed"  # left with exit 0 at the end of a full training
    PAUSED = "Paused"  # left with a checkpoint on a directive
    STOPPED = "Stopped"  # left for ever on a directive
    FAILED = "Failed"  # ended by the configuration's or the user's fault, or out of retries
    LOST = "Lost"  # ended by infrastructure: a new attempt resumes from the checkpoint
    WITHDRAWN = "Withdrawn"  # no process exists, and the intent is no longer to run


class Transition(NamedTuple):
    """A row: with one of these intents, in this state, an event leads to another state."""

    intents: tuple[Intent, ...]
    state: TrialState
    event: Event
    to: TrialState
    writer: str


ANY: tuple[Intent, ...] = ("Running", "Paused", "Stopped")
_ALIVE: tuple[TrialState, ...] = ("Pending", "Running", "Paused")
_SHELL = "the shell, from its processes"
_PLAN = "the shell, from the intent alone"

TRANSITIONS: tuple[Transition, ...] = (
    Transition(("Running",), "Pending", Event.STARTED, "Running", _SHELL),
    Transition(("Running",), "Paused", Event.STARTED, "Running", _SHELL),
    *(
        transition
        for state in _ALIVE  # a short attempt may end before it was seen running
        for transition in (
            Transition(ANY, state, Event.REACHED, "Paused", _SHELL),
            Transition(ANY, state, Event.COMPLETED, "Completed", _SHELL),
            Transition(ANY, state, Event.PAUSED, "Paused", _SHELL),
            Transition(ANY, state, Event.STOPPED, "Stopped", _SHELL),
            Transition(ANY, state, Event.FAILED, "Failed", _SHELL),
            Transition(("Running",), state, Event.LOST, "Pending", _SHELL),
            Transition(("Paused",), state, Event.LOST, "Paused", _SHELL),
            Transition(("Stopped",), state, Event.LOST, "Stopped", _SHELL),
        )
    ),
    Transition(("Paused",), "Pending", Event.WITHDRAWN, "Paused", _PLAN),
    Transition(("Stopped",), "Pending", Event.WITHDRAWN, "Stopped", _PLAN),
    Transition(("Stopped",), "Paused", Event.WITHDRAWN, "Stopped", _PLAN),
)

_TABLE: dict[tuple[Intent, TrialState, Event], TrialState] = {
    (intent, row.state, row.event): row.to for row in TRANSITIONS for intent in row.intents
}


def after(intent: Intent, state: TrialState, event: Event) -> TrialState:
    """The state after an event. One that the table does not name changes nothing: events repeat
    and come late, and a terminal state is for ever."""
    return _TABLE.get((intent, state, event), state)


def highest_milestone(trial: Trial) -> int:
    """The highest milestone that the trial has a record at, or began at; 0 before the first."""
    began_at = trial.spec.began_at
    return max([milestone.at for milestone in trial.status.milestones], default=began_at)


def taken_before(trial: Trial, at: int) -> Exploit | None:
    """What the trial had last taken over when it reached a milestone."""
    return next((each for each in reversed(trial.status.exploits) if each.at < at), None)


def untold(trial: Trial) -> Exploit | None:
    """What it was decided that the trial takes over, and its intent does not say yet."""
    taken = trial.status.exploits[-1] if trial.status.exploits else None
    return None if taken == trial.spec.exploit else taken


def is_outdated(trial: Trial) -> bool:
    """Whether the latest attempt trains what was given up: nothing that it says counts any more."""
    attempts, exploits = trial.status.attempts, trial.status.exploits
    return bool(attempts and exploits) and attempts[-1].number <= exploits[-1].attempt


def resumes_from(trial: Trial) -> Checkpoint | None:
    """The checkpoint that the next attempt goes on from."""
    return trial.status.checkpoint or trial.spec.parent


def until(trial: Trial, first: int) -> int:
    """How far the trial is to train; `first` is what the policy gives a new trial."""
    if trial.spec.until is not None:
        return trial.spec.until
    return max(first, highest_milestone(trial))


def state(trial: Trial, first: int, most: int) -> TrialState:
    """The trial's state; where the status does not say, what its records tell."""
    if trial.status.state is not None:
        return trial.status.state
    if trial.status.failure is not None:
        return "Failed"
    milestones = trial.status.milestones
    if not milestones:
        return "Pending"
    if any(milestone.decision is None for milestone in milestones):
        return "Running"
    if any(milestone.decision == "Complete" for milestone in milestones):
        return "Completed"
    return "Running" if first == most else "Paused"


def holds_place(trial: Trial, state: TrialState, *, has_work: bool) -> bool:
    """Whether the trial takes one of the study's `parallelism` places.

    From its creation or resumption until its status says that it is off: a decision alone frees
    nothing. A paused trial that has work (a milestone to reach up to its `until`) and is meant to
    run was resumed, and has only not started yet.
    """
    if state in TERMINAL:
        return False
    if state == "Paused":
        return trial.spec.state == "Running" and has_work
    return True
