"""Claims about the life cycle: the table is total, closed, and terminal states are for ever."""

from itertools import product
from typing import get_args

import pytest

from scaletune.api.trial import TERMINAL, Intent, TrialState
from scaletune.core.frame import Frame
from scaletune.core.lifecycle import TRANSITIONS, Event, after
from tests.core import given
from tests.core.given import record, trial

STATES: tuple[TrialState, ...] = get_args(TrialState)
INTENTS: tuple[Intent, ...] = get_args(Intent)


def test_every_event_in_every_state_leads_to_a_state() -> None:
    for intent, state, event in product(INTENTS, STATES, Event):
        assert after(intent, state, event) in STATES


def test_a_terminal_state_is_for_ever() -> None:
    for intent, state, event in product(INTENTS, TERMINAL, Event):
        assert after(intent, state, event) == state  # type: ignore[arg-type]


def test_no_two_rows_of_the_table_speak_of_one_case() -> None:
    cases = [(intent, row.state, row.event) for row in TRANSITIONS for intent in row.intents]

    assert len(cases) == len(set(cases))


def test_an_end_told_twice_changes_nothing_more() -> None:
    ends = [event for event in Event if event is not Event.STARTED]
    for intent, state, event in product(INTENTS, STATES, ends):
        once = after(intent, state, event)
        assert after(intent, once, event) == once


def test_every_state_is_reached_from_the_first_and_ends_can_be_reached_from_all() -> None:
    steps = {(row.state, row.to) for row in TRANSITIONS}
    reached: set[str] = {"Pending"}
    for _ in STATES:
        reached |= {to for state, to in steps if state in reached}

    assert reached == set(STATES)
    for state in set(STATES) - TERMINAL:
        assert {to for each, to in steps if each == state} >= {"Stopped", "Completed", "Failed"}


@pytest.mark.parametrize("state", ["Pending", "Running", "Paused"])
def test_an_attempt_may_end_before_it_was_seen_running(state: TrialState) -> None:
    assert after("Running", state, Event.FAILED) == "Failed"
    assert after("Running", state, Event.COMPLETED) == "Completed"
    assert after("Stopped", state, Event.LOST) == "Stopped"


@pytest.mark.parametrize(
    ("mode", "given_trial", "expected"),
    [
        ("Promote", trial(0), "Pending"),
        ("Promote", trial(0, record(1, 0.5, 1)), "Running"),
        ("Promote", trial(0, record(1, 0.5, 1, "Pause")), "Paused"),
        ("Stop", trial(0, record(1, 0.5, 1, "Continue")), "Running"),
        ("Stop", trial(0, record(4, 0.5, 1, "Complete")), "Completed"),
        ("Promote", trial(0, failure={"kind": "UserError"}), "Failed"),
        ("Promote", trial(0, record(1, None, 1, "Stop"), failure={"kind": "Diverged"}), "Failed"),
        ("Promote", trial(0, record(1, 0.5, 1), state="Paused"), "Paused"),
    ],
    ids=["nothing", "undecided", "paused", "running", "completed", "error", "diverged", "stored"],
)
def test_a_missing_state_is_told_by_the_records(
    mode: str, given_trial: object, expected: str
) -> None:
    frame = Frame.of(given.study(mode=mode))

    assert frame.state(given_trial) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_trial", "holds"),
    [
        (trial(0), True),
        (trial(0, record(1, 0.5, 1, "Pause"), state="Running"), True),
        (trial(0, state="Running", intent="Stopped"), True),
        (trial(0, record(1, 0.5, 1, "Pause"), state="Paused"), False),
        (trial(0, record(1, 0.5, 1, "Pause"), state="Paused", until=2), True),
        (trial(0, record(1, 0.5, 1, "Pause"), state="Paused", until=2, intent="Paused"), False),
        (trial(0, record(1, 0.5, 1, "Pause"), state="Paused", until=1), False),
        (trial(0, state="Stopped"), False),
        (trial(0, state="Failed"), False),
        (trial(0, state="Completed"), False),
    ],
    ids=[
        "created",
        "decided but not left",
        "leaving",
        "paused",
        "resumed",
        "resumed and paused again",
        "at its until",
        "stopped",
        "failed",
        "completed",
    ],
)
def test_a_place_is_held_until_the_status_says_that_it_is_free(
    given_trial: object, holds: bool
) -> None:
    assert Frame.of(given.study()).holds_place(given_trial) is holds  # type: ignore[arg-type]
