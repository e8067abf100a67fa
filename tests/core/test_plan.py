"""Claims about plan: decisions first, then who starts, who goes on, who leaves."""

import pytest

from scaletune.api.action import Create, Resume, Stop
from scaletune.api.record import Milestone
from scaletune.api.trial import Trial
from scaletune.core.plan import plan
from tests.core import given
from tests.core.given import acts, changed, evidence, intended, of_kind, record, trial, words

STOP = given.study(mode="Stop", eta=2, parallelism=4)
PROMOTE = given.study(mode="Promote", eta=2, parallelism=4, budget={"trials": 4})


def paused(index: int, value: float | None, number: int, *more: Milestone, at: int = 1) -> Trial:
    """A trial that waits at a rung."""
    waits = record(at, value, number, "Pause")
    return trial(index, *more, waits, until=at, state="Paused")


# ---- decisions


def test_the_worked_example_with_void_records_comes_out_as_written() -> None:
    trials = [
        trial(0, record(1, 0.1, 1), record(2, 0.1, 8), state="Running"),
        trial(1, record(1, 0.5, 2), record(2, 0.5, 3), state="Running"),
        trial(2, record(1, 0.05, 4), record(2, 0.05, 5), state="Running"),
        trial(3, record(1, 0.6, 6), record(2, 0.6, 7), state="Running"),
    ]
    made = plan(STOP, trials, given.NOW).decisions

    assert [(d.number, d.trial, d.milestone, d.decision) for d in made] == [
        (1, 0, 1, "Continue"),
        (2, 1, 1, "Stop"),
        (3, 1, 2, "Void"),
        (4, 2, 1, "Continue"),
        (5, 2, 2, "Continue"),
        (6, 3, 1, "Stop"),
        (7, 3, 2, "Void"),
        (8, 0, 2, "Stop"),
    ]
    assert evidence(made[-1]) == (2, 1, 1, 2)
    assert evidence(made[2]) == (None, None, None, None)


def test_a_decision_uses_records_numbered_up_to_its_own() -> None:
    trials = [
        trial(0, record(1, 0.5, 3), state="Running"),
        trial(1, record(1, 0.1, 5, "Continue"), state="Running"),
        trial(2, record(1, 0.9, 1), state="Running"),
    ]
    made = plan(STOP, trials, given.NOW).decisions

    assert words(plan(STOP, trials, given.NOW)) == [(2, 1, "Continue"), (0, 1, "Continue")]
    assert [evidence(each) for each in made] == [(1, 0, 1, None), (2, 0, 1, None)]


def test_a_record_that_is_decided_is_not_decided_again() -> None:
    trials = [trial(i, record(1, 0.1 * i, i + 1, "Continue"), state="Running") for i in range(4)]

    assert plan(STOP, trials, given.NOW).decisions == ()


def test_a_full_training_completes_without_a_quota() -> None:
    trials = [
        trial(0, record(1, 0.3, 1, "Continue"), record(2, 0.3, 2, "Continue"), record(4, 0.2, 3)),
        trial(1, record(1, None, 4)),
    ]
    made = plan(STOP, trials, given.NOW).decisions

    assert [(d.decision, evidence(d)) for d in made] == [
        ("Complete", (1, 0, None, None)),
        ("Stop", (2, 1, 1, None)),
    ]


@pytest.mark.parametrize("mode", ["Stop", "Promote", "Full"])
def test_a_trial_that_diverged_never_goes_on(mode: str) -> None:
    study = given.study(mode=mode, parallelism=4)
    at = 4 if mode == "Full" else 1
    made = plan(study, [trial(0, record(at, None, 1), state="Running")], given.NOW)

    assert words(made) == [(0, at, "Stop")]
    assert 0 not in of_kind(made, Resume)


def test_a_stop_that_the_intent_does_not_say_is_emitted_again() -> None:
    decided = trial(1, record(1, 0.5, 2, "Stop"), state="Running")
    other = trial(0, record(1, 0.1, 1, "Continue"), state="Running")

    assert of_kind(plan(STOP, [other, decided], given.NOW), Stop) == [1]
    told = intended(decided, state="Stopped")
    assert of_kind(plan(STOP, [other, told], given.NOW), Stop) == []
    assert of_kind(plan(STOP, [other, changed(decided, state="Failed")], given.NOW), Stop) == []


def test_decisions_are_in_the_order_of_their_numbers_and_promotions_after_them() -> None:
    trials = [
        trial(0, record(1, 0.5, 7), until=1, state="Running"),
        trial(1, record(1, 0.1, 6), until=1, state="Running"),
    ]
    made = plan(PROMOTE, trials, given.NOW).decisions

    assert [(d.number, d.trial, d.decision) for d in made] == [
        (6, 1, "Pause"),
        (7, 0, "Pause"),
        (7, 1, "Promote"),
    ]
    assert evidence(made[2]) == (2, 0, 1, None)


def test_a_stop_says_against_whom_in_words() -> None:
    trials = [
        trial(0, record(1, 0.1, 1, "Continue"), state="Running"),
        trial(1, record(1, 0.5, 2), state="Running"),
    ]
    (stop,) = [a for a in plan(STOP, trials, given.NOW).actions if isinstance(a, Stop)]

    assert stop.reason == "ranked 2 of 2 at step 1: the best 1 goes on, down to s-0000"


# ---- places


def test_a_place_that_is_being_left_is_not_free() -> None:
    leaving = trial(0, record(1, 0.5, 1, "Stop"), state="Running", intent="Stopped")
    study = given.study(mode="Stop", parallelism=1)

    assert acts(plan(study, [leaving], given.NOW)) == []
    assert acts(plan(study, [changed(leaving, state="Stopped")], given.NOW)) == [("Create", 1)]


def test_promotions_come_before_new_trials() -> None:
    study = given.study(parallelism=2, budget={"trials": 9})
    trials = [paused(0, 0.5, 1), paused(1, 0.1, 2)]

    assert acts(plan(study, trials, given.NOW)) == [("Resume", 1), ("Create", 2)]


def test_the_highest_rung_goes_first_and_in_it_the_best() -> None:
    base = [
        paused(0, 0.5, 5, record(1, 0.5, 1, "Pause", promotion={"number": 4}), at=2),
        paused(1, 0.4, 6, record(1, 0.4, 2, "Pause", promotion={"number": 4}), at=2),
        paused(2, 0.9, 7),
        paused(3, 0.2, 8),
        paused(4, 0.1, 9),
        paused(5, 0.95, 10),
    ]
    study = given.study(parallelism=3, budget={"trials": 6})
    found = plan(study, base, given.NOW)

    assert of_kind(found, Resume) == [1, 4, 3]
    assert [(d.trial, d.milestone, d.number) for d in found.decisions] == [
        (1, 2, 10),
        (4, 1, 10),
        (3, 1, 10),
    ]


def test_a_trial_that_is_next_to_be_promoted_keeps_its_own_place() -> None:
    study = given.study(parallelism=1)
    arrived = trial(1, record(1, 0.1, 2), until=1, state="Running")

    assert acts(plan(study, [paused(0, 0.5, 1), arrived], given.NOW)) == [("Resume", 1)]


def test_a_trial_that_is_not_next_leaves_its_place_to_nobody_until_it_is_gone() -> None:
    study = given.study(parallelism=1, budget={"trials": 9})
    arrived = trial(1, record(1, 0.5, 2), until=1, state="Running")

    assert acts(plan(study, [paused(0, 0.1, 1), arrived], given.NOW)) == []


def test_the_next_to_be_promoted_keeps_its_place_though_parallelism_was_lowered() -> None:
    study = given.study(parallelism=1)
    arrived = trial(1, record(1, 0.1, 2), until=1, state="Running")
    running = trial(2, until=1, state="Running")

    assert acts(plan(study, [paused(0, 0.5, 1), arrived, running], given.NOW)) == [("Resume", 1)]


def test_raised_parallelism_is_filled_at_once() -> None:
    study = given.study(parallelism=3)

    assert of_kind(plan(study, [trial(0, until=1, state="Running")], given.NOW), Create) == [1, 2]


def test_everybody_is_promoted_once_from_a_rung() -> None:
    trials = [paused(i, 0.1 * i, i + 1) for i in range(4)]
    first = plan(PROMOTE, trials, given.NOW)

    assert of_kind(first, Resume) == [0, 1]
    again = [
        changed(trials[0], milestones=(record(1, 0.0, 1, "Pause", promotion={"number": 4}),)),
        *trials[1:],
    ]
    again[0] = intended(again[0], until=2)
    assert of_kind(plan(PROMOTE, again, given.NOW), Resume) == [1]


def test_a_promotion_that_was_decided_and_not_carried_out_is_carried_out() -> None:
    owed = trial(0, record(1, 0.1, 1, "Pause", promotion={"number": 2}), until=1, state="Paused")
    found = plan(PROMOTE, [owed, paused(1, 0.5, 2)], given.NOW)

    assert found.decisions == ()
    assert [(a.trial, a.until) for a in found.actions if isinstance(a, Resume)] == [(0, 2)]


def test_an_owed_promotion_waits_for_a_place_as_any_other() -> None:
    study = given.study(parallelism=1)
    owed = trial(0, record(1, 0.1, 1, "Pause", promotion={"number": 2}), until=1, state="Paused")

    assert acts(plan(study, [owed, trial(1, until=1, state="Running")], given.NOW)) == []


def test_twenty_seven_at_once_leave_exactly_nine() -> None:
    study = given.study(parallelism=64, budget={"trials": 27}, eta=3, most=27)
    trials = [trial(i, record(1, (i * 7) % 27, i + 1), until=1, state="Running") for i in range(27)]
    found = plan(study, trials, given.NOW)

    assert len(of_kind(found, Resume)) == 9
    assert {(i * 7) % 27 for i in of_kind(found, Resume)} == set(range(9))


def test_with_fewer_than_eta_records_nobody_is_promoted() -> None:
    study = given.study(eta=3, parallelism=1, budget={"trials": 9})

    assert acts(plan(study, [paused(0, 0.1, 1), paused(1, 0.2, 2)], given.NOW)) == [("Create", 2)]


@pytest.mark.parametrize(
    ("rungs", "promoted", "eta", "expected"),
    [
        ({1: [0.5, 0.4, 0.6, 0.3, 0.45, 0.35]}, {}, 3, [3, 5]),
        (
            {
                1: [0.5, 0.4, 0.6, 0.3, 0.45, 0.35, 0.2, 0.1, 0.9],
                3: [None, None, None, 0.25, None, 0.31, 0.11],
            },
            {3: 1, 5: 1, 6: 1},
            3,
            [6, 7],
        ),
        ({1: ["nan", 0.4, "nan", "nan"]}, {}, 2, [1]),
        ({1: [0.1, 0.2]}, {}, 3, []),
    ],
    ids=["first rung", "two rungs", "one finite", "too few"],
)
def test_the_worked_table_of_promotions(
    rungs: dict[int, list[float | str | None]],
    promoted: dict[int, int],
    eta: int,
    expected: list[int],
) -> None:
    records: dict[int, list[Milestone]] = {}
    number = 0
    for at, column in rungs.items():
        for index, value in enumerate(column):
            if value is None:
                continue
            number += 1
            diverged = value == "nan"
            more = {"promotion": {"number": 9}} if promoted.get(index) == at else {}
            word = "Stop" if diverged else "Pause"
            score = None if diverged else float(value)
            records.setdefault(index, []).append(record(at, score, number, word, **more))
    trials = [
        trial(i, *own, until=own[-1].at, state="Failed" if own[-1].value is None else "Paused")
        for i, own in records.items()
    ]
    study = given.study(eta=eta, most=27, parallelism=9, budget={"trials": len(trials)})
    study = study.model_copy(update={"status": study.status.model_copy(update={"created": 99})})

    found = [d.trial for d in plan(study, trials, given.NOW).decisions]
    assert found[: len(expected)] == expected
    assert len(found) == (len(expected) or 1)  # with none promotable, the drain sends the best


# ---- freed and drained


def test_who_can_never_be_among_the_best_is_freed() -> None:
    trials = [
        changed(
            paused(0, 0.1, 1), milestones=(record(1, 0.1, 1, "Pause", promotion={"number": 3}),)
        ),
        paused(1, 0.2, 2),
        paused(2, 0.3, 3),
        paused(3, 0.4, 4),
    ]
    trials[0] = changed(intended(trials[0], until=2), state="Running")
    found = plan(given.study(parallelism=1, budget={"trials": 4}), trials, given.NOW)

    assert of_kind(found, Stop) == [3, 2]


def test_nobody_is_freed_without_a_number_of_trials_or_while_leaving() -> None:
    trials = [paused(i, 0.1 * i, i + 1) for i in range(4)]
    endless = given.study(parallelism=1, budget={"gpuHours": 1})

    assert of_kind(plan(endless, trials, given.NOW), Stop) == []
    leaving = [changed(each, state="Running") for each in trials]
    assert of_kind(plan(PROMOTE, leaving, given.NOW), Stop) == []


def test_the_best_of_each_rung_is_kept_until_one_was_trained_in_full() -> None:
    study = given.study(eta=4, most=16, parallelism=1, budget={"trials": 4})
    promoted = record(1, 0.1, 1, "Pause", promotion={"number": 4})
    first = trial(0, promoted, record(4, 0.1, 5, "Pause"), until=16, state="Running")
    rest = [paused(i, 0.1 + 0.1 * i, i + 1) for i in (1, 2, 3)]

    assert of_kind(plan(study, [first, *rest], given.NOW), Stop) == [3, 2]
    done = trial(
        0, promoted, record(4, 0.1, 5, "Pause"), record(16, 0.1, 6, "Complete"), state="Completed"
    )
    assert of_kind(plan(study, [done, *rest], given.NOW), Stop) == [3, 2, 1]
    last = given.study(eta=4, most=16, parallelism=1, budget={"trials": 5})
    running = trial(4, until=1, state="Running")
    assert of_kind(plan(last, [done, *rest, running], given.NOW), Stop) == [3, 2, 1]


def test_the_best_of_the_highest_rung_is_drained_when_nothing_else_can_happen() -> None:
    study = given.study(eta=4, most=16, parallelism=2, budget={"trials": 2})
    found = plan(study, [paused(0, 0.5, 1), paused(1, 0.4, 2)], given.NOW)

    assert acts(found) == [("Resume", 1)]
    assert [(d.trial, d.decision, evidence(d)) for d in found.decisions] == [
        (1, "Promote", (2, 0, 0, None))
    ]


def test_nothing_is_drained_while_something_runs_or_can_be_created() -> None:
    study = given.study(eta=4, most=16, parallelism=2, budget={"trials": 2})
    running = trial(1, until=1, state="Running")

    assert acts(plan(study, [paused(0, 0.5, 1), running], given.NOW)) == []
    assert acts(plan(study, [paused(0, 0.5, 1)], given.NOW)) == [("Create", 1)]


def test_a_trial_that_diverged_on_the_way_is_not_drained() -> None:
    study = given.study(eta=4, most=16, parallelism=2, budget={"trials": 2})
    diverged = trial(1, record(1, None, 2, "Stop"), state="Failed", failure={"kind": "Diverged"})

    assert of_kind(plan(study, [paused(0, 0.5, 1), diverged], given.NOW), Resume) == [0]


def test_a_trial_that_was_stopped_while_it_was_paused_is_not_resumed() -> None:
    leaving = trial(1, record(1, 0.5, 2), intent="Paused", state="Running")
    other = trial(0, record(1, 0.1, 1, "Continue"), state="Running")

    assert acts(
        plan(given.study(mode="Stop", budget={"trials": 2}), [other, leaving], given.NOW)
    ) == [("Stop", 1)]
