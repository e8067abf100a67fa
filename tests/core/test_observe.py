"""Claims about observe: which report makes a record, and with which number."""

import math
import random
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from scaletune.api.trial import Trial
from scaletune.core.observe import Fault, InvalidReports, Report, observe
from tests import strategies
from tests.core import given
from tests.core.given import record, trial

STOP = given.study(mode="Stop", eta=3, most=27)  # levels 1, 3, 9, 27
PROMOTE = given.study(mode="Promote", eta=3, most=27)
Seen = list[tuple[int, int, float | None, int]]


def reports(*steps_and_values: tuple[int, float], of: int = 0, **more: Any) -> list[Report]:
    return [Report(of, step, value, **more) for step, value in steps_and_values]


def seen(before: Trial, found: list[Report], *faults: Fault, study: Any = STOP) -> Seen:
    """The new records as (at, step, value, number)."""
    changed = observe(study, [before], found, faults)
    known = {each.at for each in before.status.milestones}
    return [
        (each.at, each.step, each.value, each.number)
        for after in changed
        for each in after.status.milestones
        if each.at not in known
    ]


def test_the_smallest_step_at_or_after_a_milestone_makes_its_record() -> None:
    assert seen(trial(0), reports((4, 0.4), (2, 0.2), (3, 0.3), (10, 1.0))) == [
        (1, 2, 0.2, 1),
        (3, 3, 0.3, 2),
        (9, 10, 1.0, 3),
    ]


def test_a_report_that_jumps_over_levels_serves_each_of_them() -> None:
    assert seen(trial(0), reports((5, 0.5), (6, 0.6))) == [(1, 5, 0.5, 1), (3, 5, 0.5, 2)]


def test_a_report_before_the_first_milestone_makes_no_record_but_is_the_last() -> None:
    (after,) = observe(STOP, [trial(0)], reports((0, 0.7)))

    assert after.status.milestones == ()
    assert after.status.last is not None
    assert (after.status.last.step, after.status.last.value) == (0, 0.7)


def test_a_record_stays_whatever_comes_later() -> None:
    before = trial(0, record(1, 0.5, 1, "Continue"))

    assert seen(before, reports((1, 0.1), (2, 0.2))) == []


def test_numbers_follow_the_trial_then_the_milestone_and_go_on_from_the_highest() -> None:
    trials = [trial(2, record(1, 0.5, 6)), trial(0), trial(1)]
    found = reports((3, 0.1), of=2) + reports((3, 0.2), of=1) + reports((1, 0.3), of=0)
    changed = observe(STOP, trials, found)
    numbers = {(t.index, m.at): m.number for t in changed for m in t.status.milestones}

    assert numbers == {(0, 1): 7, (1, 1): 8, (1, 3): 9, (2, 1): 6, (2, 3): 10}


def test_numbers_never_repeat_those_of_deleted_trials() -> None:
    study = given.study(status={"highestNumber": 40})

    assert seen(trial(0), reports((1, 0.5)), study=study) == [(1, 1, 0.5, 41)]


def test_no_record_is_made_above_until() -> None:
    assert seen(trial(0, until=3), reports((27, 0.5))) == [(1, 27, 0.5, 1), (3, 27, 0.5, 2)]
    assert seen(trial(0), reports((27, 0.5)), study=PROMOTE) == [(1, 27, 0.5, 1)]


def test_after_a_promotion_the_last_report_serves() -> None:
    (paused,) = observe(PROMOTE, [trial(0, until=1)], reports((5, 0.5)))
    promoted = given.intended(paused, until=3)

    assert seen(promoted, [], study=PROMOTE) == [(3, 5, 0.5, 2)]
    assert seen(given.intended(paused, until=9), [], study=PROMOTE) == [(3, 5, 0.5, 2)]


def test_of_a_new_report_and_the_last_one_the_smaller_step_serves() -> None:
    (paused,) = observe(PROMOTE, [trial(0, until=1)], reports((5, 0.5)))
    promoted = given.intended(paused, until=3)

    assert seen(promoted, reports((4, 0.4)), study=PROMOTE) == [(3, 4, 0.4, 2)]
    assert seen(promoted, reports((5, 0.4)), study=PROMOTE) == [(3, 5, 0.5, 2)]


def test_of_two_attempts_the_first_that_reported_a_step_counts() -> None:
    found = reports((3, 0.4), attempt=2, sequence=1) + reports((3, 0.5), attempt=1, sequence=9)

    assert seen(trial(0), found)[0] == (1, 3, 0.5, 1)


def test_of_one_attempt_the_lower_sequence_counts() -> None:
    found = reports((3, 0.4), attempt=1, sequence=8) + reports((3, 0.5), attempt=1, sequence=7)

    assert seen(trial(0), found)[0] == (1, 3, 0.5, 1)


def test_two_values_for_one_step_that_nothing_orders_are_refused() -> None:
    with pytest.raises(InvalidReports, match="trial 0 reports two values for step 3"):
        observe(STOP, [trial(0)], reports((3, 0.4), (3, 0.5)))


@pytest.mark.parametrize("value", [0.4, math.nan, math.inf], ids=["number", "nan", "infinity"])
def test_a_report_that_arrives_twice_is_one(value: float) -> None:
    once = observe(STOP, [trial(0)], reports((3, value)))
    twice = observe(STOP, [trial(0)], reports((3, value), (3, value)))

    assert once == twice


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "+inf", "-inf"])
def test_a_value_that_is_not_finite_makes_one_record_at_the_lowest_free_milestone(
    value: float,
) -> None:
    before = trial(0, record(1, 0.5, 1, "Continue"))
    (after,) = observe(STOP, [before], reports((20, value), (27, 0.1)))
    made = after.status.milestones[1:]

    assert [(m.at, m.step, m.value, m.outcome) for m in made] == [(3, 20, None, "Diverged")]
    assert after.status.failure is not None
    assert (after.status.failure.kind, after.status.failure.number, after.status.failure.at) == (
        "Diverged",
        2,
        3,
    )


def test_values_before_a_divergence_count() -> None:
    found = seen(trial(0), reports((3, 0.5), (4, math.nan), (9, 0.1)))

    assert found == [(1, 3, 0.5, 1), (3, 3, 0.5, 2), (9, 4, None, 3)]


def test_a_divergence_beyond_until_counts_once_the_trial_is_to_go_there() -> None:
    (paused,) = observe(PROMOTE, [trial(0, until=1)], reports((1, 0.5), (2, math.nan)))

    assert [each.value for each in paused.status.milestones] == [0.5]
    assert paused.status.failure is None
    assert seen(given.intended(paused, until=3), [], study=PROMOTE) == [(3, 2, None, 2)]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("Diverged", "Diverged"), ("OutOfMemory", "OutOfMemory"), ("RetriesExhausted", "Failed")],
)
def test_a_failure_of_the_configuration_competes_in_its_next_rung(kind: Any, outcome: str) -> None:
    before = trial(0, record(1, 0.5, 1, "Continue"))
    (after,) = observe(STOP, [before], [], [Fault(0, kind, "words")])
    made = after.status.milestones[-1]

    assert (made.at, made.value, made.outcome, made.number) == (3, None, outcome, 2)
    assert after.status.failure is not None
    assert (after.status.failure.kind, after.status.failure.at) == (kind, 3)


def test_a_failure_before_any_report_competes_in_the_first_rung() -> None:
    assert seen(trial(0), [], Fault(0, "OutOfMemory")) == [(1, 0, None, 1)]


def test_an_error_of_the_user_makes_no_record() -> None:
    (after,) = observe(STOP, [trial(0)], [], [Fault(0, "UserError", "ImportError")])

    assert after.status.milestones == ()
    assert after.status.failure is not None
    assert (after.status.failure.kind, after.status.failure.at) == ("UserError", None)


def test_reports_of_the_same_snapshot_count_before_a_failure() -> None:
    found = seen(trial(0), reports((3, 0.5)), Fault(0, "Diverged"))

    assert found == [(1, 3, 0.5, 1), (3, 3, 0.5, 2), (9, 0, None, 3)]


def test_a_trial_fails_once_and_what_it_says_after_that_is_not_heard() -> None:
    faults = [Fault(0, "UserError", "first"), Fault(0, "Diverged", "second")]
    (failed,) = observe(STOP, [trial(0)], [], faults)

    assert failed.status.failure is not None
    assert failed.status.failure.reason == "first"
    assert seen(failed, reports((9, 0.5)), Fault(0, "OutOfMemory")) == []


def test_a_failure_orders_itself_after_what_was_known() -> None:
    changed = observe(
        STOP,
        [trial(0), trial(1)],
        reports((1, 0.5), of=0),
        [Fault(1, "UserError"), Fault(0, "Diverged")],
    )
    failures = {each.index: each.status.failure for each in changed}

    assert [failures[0] and failures[0].number, failures[1] and failures[1].number] == [2, 2]


def test_nothing_new_changes_nothing() -> None:
    before = trial(0, record(1, 0.5, 1, "Continue"), last={"step": 2, "value": 0.4})

    assert observe(STOP, [before], []) == []
    assert observe(STOP, [before], reports((1, 0.5), (2, 0.4))) == []


@any_of(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), strategies.reported), max_size=12),
    st.integers(0, 99),
)
def test_the_order_of_reports_and_of_trials_does_not_matter(
    found: list[tuple[int, int, float]], seed: int
) -> None:
    unique = {(index, step): Report(index, step, value) for index, step, value in found}
    mixed, trials = list(unique.values()), [trial(index) for index in range(4)]
    ordered = observe(STOP, trials, mixed)
    random.Random(seed).shuffle(mixed)
    random.Random(seed).shuffle(trials)

    assert observe(STOP, trials, mixed) == ordered


@any_of(st.lists(st.tuples(st.integers(0, 30), strategies.reported), max_size=12))
def test_reports_that_came_in_order_make_the_same_records_one_by_one_as_at_once(
    found: list[tuple[int, float]],
) -> None:
    steps = dict(sorted(found))
    at_once = observe(STOP, [trial(0)], reports(*steps.items()))
    current = trial(0)
    for step, value in steps.items():
        current = (observe(STOP, [current], reports((step, value))) or [current])[0]

    assert [current] == (at_once or [trial(0)])
