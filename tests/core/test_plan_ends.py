"""Claims about how a study ends, pauses and goes on: budgets, targets, failures, wishes."""

from typing import Any

import pytest

from scaletune.api.action import Create, Finish, LookAgain, Pause, Plan, Resume, Stop
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.plan import plan
from tests.core import given
from tests.core.given import acts, changed, intended, of_kind, record, trial

FINISHED = {"conditions": [{"type": "Finished", "status": "True", "reason": "Completed"}]}
STARTED = {"startedAt": "2023-11-14T22:13:20Z"}


def finish(found: Plan) -> str | None:
    """The cause of the end, if it is said."""
    causes = [each.cause for each in found.actions if isinstance(each, Finish)]
    assert len(causes) <= 1
    return causes[0] if causes else None


def done(index: int, number: int, value: float = 0.5) -> Trial:
    return trial(index, record(4, value, number, "Complete"), state="Completed")


def failed(index: int, number: int, kind: str = "UserError") -> Trial:
    return trial(index, state="Failed", failure={"kind": kind, "number": number, "reason": "boom"})


def full(**spec: Any) -> Study:
    return given.study(mode="Full", **spec)


# ---- done


def test_a_study_is_finished_when_all_is_created_and_nothing_can_go_on() -> None:
    study = full(budget={"trials": 2})

    assert finish(plan(study, [done(0, 1), done(1, 2)], given.NOW)) == "Completed"
    assert finish(plan(study, [done(0, 1)], given.NOW)) is None
    assert finish(plan(study, [done(0, 1), trial(1, state="Running")], given.NOW)) is None


def test_the_end_is_said_once() -> None:
    study = full(budget={"trials": 1}, status=FINISHED)

    assert plan(study, [done(0, 1)], given.NOW).actions == ()


def test_a_raised_number_of_trials_continues_a_finished_study() -> None:
    study = full(budget={"trials": 3}, status=FINISHED)

    assert of_kind(plan(study, [done(0, 1)], given.NOW), Create) == [1, 2]


def test_what_is_left_of_the_best_is_freed_at_the_end() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 3})
    up = [record(1, 0.1, 1, "Pause", promotion={"number": 3})]
    full_training = trial(
        0,
        *up,
        record(2, 0.1, 4, "Pause", promotion={"number": 4}),
        record(4, 0.1, 5, "Complete"),
        state="Completed",
    )
    waits = [trial(i, record(1, 0.2 * i, i + 1, "Pause"), until=1, state="Paused") for i in (1, 2)]
    found = plan(study, [full_training, *waits], given.NOW)

    assert acts(found) == [("Stop", 2), ("Stop", 1), ("Finish", None)]


def test_an_index_is_never_used_twice_and_deleted_trials_count() -> None:
    study = full(budget={"trials": 4}, status={"created": 3})

    assert of_kind(plan(study, [], given.NOW), Create) == [3]
    assert of_kind(plan(study, [done(0, 1)], given.NOW), Create) == [3]
    assert of_kind(plan(full(budget={"trials": 4}), [done(2, 1)], given.NOW), Create) == [3]
    assert finish(plan(full(budget={"trials": 3}), [done(2, 1)], given.NOW)) == "Completed"


def test_records_of_deleted_trials_keep_their_numbers() -> None:
    study = given.study(budget={"trials": 2}, status={"highestNumber": 9})
    trials = [trial(i, record(1, 0.1 * i, i + 1, "Pause"), until=1, state="Paused") for i in (0, 1)]
    (promotion,) = plan(study, trials, given.NOW).decisions

    assert (promotion.trial, promotion.number) == (0, 9)


def test_a_grid_that_is_used_up_ends_creation() -> None:
    study = full(
        parameters=[{"name": "n", "int": {"values": [1, 2]}}],
        sampler={"grid": {}},
        budget={"trials": 50},
        parallelism=9,
        initial=[{"n": 2}],
    )
    created = [a for a in plan(study, [], given.NOW).actions if isinstance(a, Create)]

    assert [given.values(a.spec.parameters)["n"] for a in created] == [2, 1, 2]
    assert [a.spec.origin and a.spec.origin.kind for a in created] == ["Initial", "Grid", "Grid"]


def test_initial_configurations_beyond_the_budget_are_not_created() -> None:
    study = full(initial=[{"learning_rate": 0.01}] * 5, budget={"trials": 2}, parallelism=9)

    assert of_kind(plan(study, [], given.NOW), Create) == [0, 1]


# ---- target and wishes


@pytest.mark.parametrize(("goal", "value"), [("Minimize", 0.2), ("Maximize", 0.9)])
def test_a_target_that_is_reached_at_a_milestone_ends_the_study(goal: str, value: float) -> None:
    target = 0.2 if goal == "Minimize" else 0.8
    study = given.study(goal=goal, target=target, mode="Stop", parallelism=3)
    hit = trial(0, record(1, value, 1), state="Running")
    other = trial(1, state="Running")
    found = plan(study, [hit, other], given.NOW)

    assert acts(found) == [("Stop", 0), ("Stop", 1)]
    stopped = [changed(intended(t, state="Stopped"), state="Stopped") for t in (hit, other)]
    assert finish(plan(study, stopped, given.NOW)) == "TargetReached"


def test_a_value_that_is_not_at_a_milestone_reaches_no_target() -> None:
    study = given.study(target=0.2, mode="Stop", parallelism=1)
    close = trial(0, state="Running", last={"step": 1, "value": 0.1})

    assert acts(plan(study, [close], given.NOW)) == []


def test_a_stopped_study_stops_all_and_finishes_when_they_have_left() -> None:
    study = given.study(state="Stopped")
    running = trial(0, until=1, state="Running")
    waits = trial(1, record(1, 0.1, 1, "Pause"), until=1, state="Paused")

    assert acts(plan(study, [running, waits], given.NOW)) == [("Stop", 0), ("Stop", 1)]
    left = [changed(intended(running, state="Stopped"), state="Stopped")]
    assert finish(plan(study, [*left, intended(waits, state="Stopped")], given.NOW)) == "Stopped"


def test_a_paused_study_pauses_who_runs_and_starts_nothing() -> None:
    study = given.study(state="Paused", parallelism=5)
    running = trial(0, until=1, state="Running")
    arrived = trial(1, record(1, 0.1, 1), until=1, state="Running")
    pending = trial(2, until=1, state="Pending")
    found = plan(study, [running, arrived, pending], given.NOW)

    assert acts(found) == [("Pause", 0), ("Pause", 2)]
    assert [d.decision for d in found.decisions] == ["Pause"]
    assert plan(study, [], given.NOW).actions == ()


@pytest.mark.parametrize("state", ["Paused", "Stopped"])
def test_a_trial_that_is_stopped_is_told_nothing_else(state: str) -> None:
    study = given.study(mode="Stop", state=state, parallelism=5)
    trials = [
        trial(0, record(1, 0.1, 1, "Continue"), state="Running"),
        trial(1, record(1, 0.5, 2), state="Running"),
    ]
    told = [trial for _, trial in acts(plan(study, trials, given.NOW))]

    assert sorted(told, key=str) == [0, 1]


@pytest.mark.parametrize("state", ["Paused", "Running"], ids=["gone", "still leaving"])
def test_a_study_that_goes_on_resumes_who_was_interrupted_before_all_else(state: str) -> None:
    study = given.study(parallelism=1)
    interrupted = trial(
        2,
        record(1, 0.9, 1, "Pause", promotion={"number": 3}),
        until=2,
        intent="Paused",
        state=state,
    )
    best = trial(0, record(1, 0.1, 2, "Pause"), until=1, state="Paused")
    found = plan(study, [best, interrupted, trial(1, state="Failed")], given.NOW)

    assert [(a.trial, a.until) for a in found.actions if isinstance(a, Resume)] == [(2, 2)]


def test_a_trial_that_reached_its_rung_while_being_paused_is_promoted_all_the_same() -> None:
    study = given.study(parallelism=2, budget={"trials": 2})
    trials = [
        trial(0, record(1, 0.1, 1, "Pause"), until=1, intent="Paused", state="Paused"),
        trial(1, record(1, 0.2, 2, "Pause"), until=1, state="Paused"),
    ]

    assert of_kind(plan(study, trials, given.NOW), Resume) == [0]


# ---- failing alike


def test_three_errors_of_the_user_as_the_first_ends_end_the_study() -> None:
    study = full(parallelism=4)
    running = trial(3, state="Running")
    found = plan(study, [failed(0, 0), failed(1, 0), failed(2, 0), running], given.NOW)

    assert acts(found) == [("Stop", 3)]
    gone = changed(intended(running, state="Stopped"), state="Stopped")
    ended = plan(study, [failed(0, 0), failed(1, 0), failed(2, 0), gone], given.NOW)
    assert finish(ended) == "EndedEarly"


def test_the_first_ends_are_told_by_their_numbers_not_by_the_index() -> None:
    errors = [failed(i, 5) for i in (0, 1, 2)]

    assert finish(plan(full(), [*errors, done(3, 4)], given.NOW)) is None
    assert finish(plan(full(), [*errors, done(3, 6)], given.NOW)) == "EndedEarly"


def test_a_study_that_ended_early_does_not_go_on_when_the_others_have_left() -> None:
    study = given.study(mode="Stop", parallelism=4)
    early = trial(0, record(1, 0.5, 1, "Continue"), state="Running")
    errors = [failed(i, 1) for i in (1, 2, 3)]

    assert of_kind(plan(study, [early, *errors], given.NOW), Stop) == [0]
    left = changed(intended(early, state="Stopped"), state="Stopped")
    assert acts(plan(study, [left, *errors], given.NOW)) == [("Finish", None)]


def test_a_trial_that_was_stopped_before_the_errors_counts_even_while_it_leaves() -> None:
    study = given.study(mode="Stop", parallelism=9, budget={"trials": 5})
    leaving = trial(4, record(1, 0.5, 1, "Stop"), state="Running", intent="Stopped")

    assert acts(plan(study, [*(failed(i, 2) for i in (0, 1, 2)), leaving], given.NOW)) == []


@pytest.mark.parametrize(("parallelism", "enough"), [(1, 10), (6, 12)])
def test_ten_failed_configurations_without_one_value_end_the_study(
    parallelism: int, enough: int
) -> None:
    study = given.study(parallelism=parallelism, budget={"trials": 99})
    trials = [
        changed(failed(i, i + 1, "Diverged"), milestones=(record(1, None, i + 1, "Stop"),))
        for i in range(enough)
    ]

    assert finish(plan(study, trials, given.NOW)) == "EndedEarly"
    assert finish(plan(study, trials[:-1], given.NOW)) is None
    well = changed(trials[0], milestones=(record(1, 0.5, 1, "Pause"), record(2, None, 20, "Stop")))
    assert finish(plan(study, [well, *trials[1:]], given.NOW)) is None


def test_failures_end_no_study_in_which_another_trial_waits_with_a_value() -> None:
    study = given.study(mode="Promote", budget={"trials": 99})
    failures = [
        changed(failed(i, i + 1, "Diverged"), milestones=(record(1, None, i + 1, "Stop"),))
        for i in range(1, 11)
    ]
    waiting = trial(0, record(1, 0.5, 1, "Pause"), until=1, state="Paused")
    later = trial(0, record(1, 0.5, 99, "Pause"), until=1, state="Paused")

    assert of_kind(plan(study, [waiting, *failures], given.NOW), Stop) == []
    assert of_kind(plan(study, [later, *failures], given.NOW), Stop) == [0]


# ---- budgets


def test_spent_hours_pause_who_runs_with_a_checkpoint() -> None:
    study = given.study(budget={"gpuHours": 1}, mode="Stop", parallelism=3)
    trials = [
        trial(0, record(1, 0.1, 1, "Continue"), state="Running", device_seconds=3600.0),
        trial(1, record(1, 0.5, 2, "Stop"), state="Running", intent="Stopped"),
    ]
    found = plan(study, trials, given.NOW)

    assert acts(found) == [("Pause", 0)]
    assert [a.reason for a in found.actions if isinstance(a, Pause)] == [
        "1.00 of 1 gpuHours are used"
    ]
    left = [
        changed(intended(trials[0], state="Paused"), state="Paused"),
        changed(trials[1], state="Stopped"),
    ]
    assert finish(plan(study, left, given.NOW)) == "BudgetExhausted"


def test_raised_hours_resume_who_was_paused() -> None:
    study = given.study(budget={"gpuHours": 2}, mode="Stop", parallelism=1, status=FINISHED)
    waits = trial(
        0, record(1, 0.1, 1, "Continue"), state="Paused", intent="Paused", device_seconds=600.0
    )

    assert acts(plan(study, [waits], given.NOW)) == [("Resume", 0)]


def test_the_first_start_that_does_not_fit_ends_the_list() -> None:
    study = given.study(budget={"gpuHours": 1, "trials": 99}, parallelism=9)
    dear = trial(
        0,
        record(1, 0.1, 1, "Pause", deviceSeconds=1),
        until=1,
        state="Paused",
        device_seconds=2000.0,
    )
    other = trial(
        1, record(1, 0.2, 2, "Pause", deviceSeconds=1), until=1, state="Paused", device_seconds=1.0
    )

    assert acts(plan(study, [dear, other], given.NOW)) == [("Finish", None)]
    assert finish(plan(study, [dear, other], given.NOW)) == "BudgetExhausted"
    cheap = changed(dear, device_seconds=1000.0)
    starts = acts(plan(study, [cheap, other], given.NOW))
    assert starts[:2] == [("Resume", 0), ("Create", 2)]


def test_running_trials_reserve_what_they_will_need() -> None:
    study = given.study(budget={"gpuHours": 1, "trials": 9}, mode="Full", parallelism=2)
    known = trial(
        0,
        record(4, 0.1, 1, "Complete", deviceSeconds=1500.0),
        state="Completed",
        device_seconds=1500.0,
    )
    running = trial(1, state="Running")

    assert of_kind(plan(study, [known, running], given.NOW), Create) == []
    assert of_kind(plan(study, [known], given.NOW), Create) == [1]


def test_the_end_of_the_duration_is_looked_at_and_pauses() -> None:
    study = given.study(budget={"duration": "1h"}, parallelism=1, status=STARTED)
    running = trial(0, until=1, state="Running")
    before = plan(study, [running], given.NOW + 3599)

    assert before.actions == (LookAgain(given.NOW + 3600, "the duration of 1h is over then"),)
    assert acts(plan(study, [running], given.NOW + 3600)) == [("Pause", 0)]
    left = changed(intended(running, state="Paused"), state="Paused")
    assert finish(plan(study, [left], given.NOW + 3600)) == "BudgetExhausted"


def test_without_a_duration_time_changes_nothing() -> None:
    study = given.study(budget={"trials": 3, "gpuHours": 1})
    trials = [trial(0, until=1, state="Running")]

    assert plan(study, trials, given.NOW) == plan(study, trials, given.NOW + 10**9)
    assert not any(isinstance(a, LookAgain) for a in plan(study, trials, given.NOW).actions)


def test_a_finished_study_does_not_look_again() -> None:
    study = full(budget={"trials": 1, "duration": "1h"}, status=STARTED)

    assert acts(plan(study, [done(0, 1)], given.NOW)) == [("Finish", None)]


def test_a_clock_that_went_back_does_not_prolong_the_study() -> None:
    study = full(budget={"duration": "1h"}, status=STARTED, parallelism=1)
    found = plan(study, [trial(0, state="Running")], given.NOW - 10**6)

    assert [a.at for a in found.actions if isinstance(a, LookAgain)] == [given.NOW + 3600]


def test_the_drain_obeys_the_budget() -> None:
    study = given.study(eta=4, most=16, budget={"trials": 1, "gpuHours": 1})
    waits = trial(0, record(1, 0.5, 1, "Pause"), until=1, state="Paused", device_seconds=1000.0)

    assert finish(plan(study, [waits], given.NOW)) == "BudgetExhausted"
    assert of_kind(plan(study, [changed(waits, device_seconds=100.0)], given.NOW), Resume) == [0]


def test_the_best_is_kept_when_only_the_money_is_over() -> None:
    study = given.study(eta=2, budget={"trials": 2, "gpuHours": 1})
    waits = [
        trial(i, record(1, 0.1 * i, i + 1, "Pause"), until=1, state="Paused", device_seconds=1800.0)
        for i in (0, 1)
    ]
    found = plan(study, waits, given.NOW)

    assert finish(found) == "BudgetExhausted"
    assert of_kind(found, Stop) == [1]  # the best is kept: a raised budget lets it go on


def test_a_study_that_did_all_it_could_is_completed_even_with_nothing_left_to_spend() -> None:
    study = full(budget={"trials": 1, "gpuHours": 1})

    assert (
        finish(plan(study, [changed(done(0, 1), device_seconds=3600.0)], given.NOW)) == "Completed"
    )
    more = full(budget={"trials": 2, "gpuHours": 1})
    left = plan(more, [changed(done(0, 1), device_seconds=3600.0)], given.NOW)
    assert finish(left) == "BudgetExhausted"
