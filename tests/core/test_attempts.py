"""Claims about the books of a trial: what is written as its processes start, run and end."""

import pytest

from scaletune.api.trial import Trial, TrialState
from scaletune.core import attempts
from scaletune.core.failures import Verdict
from scaletune.core.frame import Frame
from scaletune.core.lifecycle import Event
from scaletune.core.reports import Telemetry
from scaletune_trainer import wire
from tests.core import given
from tests.core.given import changed, intended, record, trial

STUDY = given.study()
FRAME = Frame.of(STUDY)


def began(times: int = 1) -> Trial:
    current = trial(0, until=1)
    for number in range(times):
        current = attempts.begun(current, f"life-{number + 1}", "hash", "2023-11-14T22:13:20Z")
    return current


def test_an_attempt_is_open_from_its_beginning_to_its_end() -> None:
    assert not attempts.is_open(trial(0))
    assert attempts.is_open(began())
    assert not attempts.is_open(attempts.ended(began(), Verdict(Event.LOST, "Crashed")))


def test_attempts_are_numbered_on_and_only_the_last_few_are_kept() -> None:
    many = began(12)

    assert [each.number for each in many.status.attempts] == list(range(5, 13))
    assert attempts.next_number(many) == 13


def test_a_sequence_begins_anew_with_each_incarnation() -> None:
    heard = attempts.heard(began(), Telemetry("life-1", sequence=7))

    assert heard.status.acknowledged == 7
    assert attempts.begun(heard, "life-2", "hash", "2023-11-14T22:13:20Z").status.acknowledged == 0
    assert attempts.identified(heard, "life-3").status.acknowledged == 0
    assert attempts.identified(heard, "life-1") is heard


def test_a_sequence_that_was_heard_is_never_unheard() -> None:
    heard = attempts.heard(began(), Telemetry("life-1", sequence=7))

    assert attempts.heard(heard, Telemetry("life-1", sequence=5)) is heard


def test_device_seconds_add_up_over_attempts_however_often_they_are_told() -> None:
    first = attempts.charged(attempts.charged(began(), 5.0), 8.0)
    second = attempts.begun(first, "life-2", "hash", "2023-11-14T22:13:20Z")
    told = attempts.charged(attempts.charged(second, 2.0), 2.0)

    assert told.status.device_seconds == 10.0
    assert [each.device_seconds for each in told.status.attempts] == [8.0, 2.0]
    assert attempts.charged(trial(0), 3.0) == trial(0)


def test_a_checkpoint_counts_with_the_incarnation_that_wrote_it() -> None:
    heard = attempts.heard(began(), Telemetry("life-1", checkpoint=4))
    told = attempts.trial_spec(STUDY, heard)

    assert told.restore == wire.Place("life-1", 4)
    assert (told.attempt, told.milestones, told.max) == (1, (1, 2, 4), 4)


def test_a_checkpoint_is_deleted_when_a_newer_one_of_a_later_life_is_stored() -> None:
    first = attempts.heard(began(), Telemetry("life-1", checkpoint=4))
    second = attempts.begun(first, "life-2", "hash", "2023-11-14T22:13:20Z")
    saved = attempts.heard(second, Telemetry("life-2", checkpoint=6))
    third = attempts.begun(saved, "life-3", "hash", "2023-11-14T22:13:20Z")

    assert attempts.directive(STUDY, first).remove == ()
    assert attempts.directive(STUDY, second).remove == (), "it is being read"
    assert attempts.directive(STUDY, saved).remove == (wire.Place("life-1", 4),)
    assert attempts.directive(STUDY, third).remove == (wire.Place("life-1", 4),)


def test_a_trainer_is_told_the_values_as_they_are_used() -> None:
    parameters = [{"name": "lr", "float": 0.1}, {"name": "batch", "int": 512}]
    spec = {
        **began().spec.model_dump(by_alias=True),
        "parameters": parameters,
        "resolved": [{"name": "lr", "float": 0.2}],
    }
    scaled = Trial.model_validate({**began().model_dump(by_alias=True), "spec": spec})

    assert attempts.trial_spec(STUDY, scaled).parameters == {"lr": 0.2, "batch": 512}


def test_a_directive_says_the_stored_intent_and_nothing_else() -> None:
    wanted = attempts.directive(STUDY, intended(began(), state="Paused", until=2))

    assert (wanted.until, wanted.state, wanted.acknowledged) == (2, "Paused", 0)


@pytest.mark.parametrize(
    ("found", "runs"),
    [
        (trial(0, until=1), True),
        (trial(0, until=1, state="Running"), True),
        (trial(0, until=1, intent="Paused"), False),
        (trial(0, record(1, 0.5, 1, "Pause"), until=1, state="Running"), False),
        (trial(0, record(1, 0.5, 1, "Pause"), until=2, state="Paused"), True),
        (trial(0, until=1, state="Failed"), False),
    ],
    ids=["new", "running", "interrupted", "arrived", "promoted", "failed"],
)
def test_processes_should_exist_while_there_is_something_to_reach(found: Trial, runs: bool) -> None:
    assert attempts.should_run(FRAME, found) is runs


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (trial(0, until=1, intent="Paused", state="Pending"), "Paused"),
        (trial(0, until=1, intent="Stopped", state="Paused"), "Stopped"),
        (trial(0, record(1, 0.5, 1, "Pause"), until=1, state="Pending"), "Paused"),
        (trial(0, record(4, 0.5, 1, "Complete"), until=4, state="Pending"), "Completed"),
        (trial(0, until=1, state="Paused", failure={"kind": "UserError"}), "Failed"),
        (trial(0, until=1, state="Pending"), "Pending"),
    ],
    ids=["interrupted", "freed", "lost at its rung", "lost at the end", "failed", "to run"],
)
def test_a_trial_at_rest_is_where_its_intent_and_records_say(
    found: Trial, state: TrialState
) -> None:
    rested = attempts.at_rest(FRAME, found)

    assert rested.status.state == state
    assert attempts.at_rest(FRAME, rested) is rested


def test_a_node_lost_after_the_last_report_holds_no_place_for_ever() -> None:
    arrived = changed(began(), milestones=(record(1, 0.5, 1, "Pause"),), state="Running")
    lost = attempts.ended(arrived, Verdict(Event.LOST, "Disrupted"))

    assert not attempts.should_run(FRAME, lost)
    assert not FRAME.holds_place(attempts.at_rest(FRAME, lost))


def test_an_end_is_written_with_its_cause_and_its_reason() -> None:
    found = attempts.ended(
        attempts.started(began()),
        Verdict(Event.FAILED, "UserError", "UserError", "ImportError: x", crashes=1),
    )

    assert (found.status.state, found.status.reason) == ("Failed", "ImportError: x")
    assert (found.status.attempts[-1].cause, found.status.crashes) == ("UserError", 1)
    fault = attempts.fault_of(found, Verdict(Event.FAILED, "UserError", "UserError", "words"))
    assert fault is not None
    assert (fault.trial, fault.kind, fault.reason) == (0, "UserError", "words")
    assert attempts.fault_of(found, Verdict(Event.LOST, "Crashed")) is None
