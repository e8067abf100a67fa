"""Claims about summarise: a study's status tells what there is and decides nothing."""

from typing import Any

from hypothesis import given as any_of

from scaletune.api.action import Finish
from scaletune.api.conditions import FINISHED, condition, is_true
from scaletune.api.study import Study, StudyStatus
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.summarise import summarise, timestamp
from tests import strategies
from tests.core import given
from tests.core.given import record, trial

DONE = Finish("Completed", "all trials have ended")


def status(
    study: Study, *trials: Trial, finish: Finish | None = None, later: int = 0
) -> StudyStatus:
    return summarise(study, Ledger.of(study, trials), given.NOW + later, finish)


def having(study: Study, found: StudyStatus, **metadata: Any) -> Study:
    after = study.model_copy(update={"status": found})
    return after.model_copy(update={"metadata": study.metadata.model_copy(update=metadata)})


def test_trials_are_counted_by_their_states() -> None:
    trials = [
        trial(0, state="Running"),
        trial(1, record(1, 0.5, 1, "Pause"), state="Paused"),
        trial(2, state="Failed"),
        trial(3, state="Stopped"),
        trial(4),
        trial(5, record(4, 0.1, 2, "Complete"), state="Completed"),
    ]
    found = status(given.study(), *trials)

    assert found.trials.model_dump() == {
        "pending": 1,
        "running": 1,
        "paused": 1,
        "stopped": 1,
        "completed": 1,
        "failed": 1,
    }
    assert (found.running, found.progress, found.policy) == (2, "3/8", "asha Promote eta 2")


def test_indices_and_numbers_are_never_used_twice() -> None:
    study = given.study(status={"created": 7, "highestNumber": 9})

    assert (status(study).created, status(study).highest_number) == (7, 9)
    with_trials = status(study, trial(9, record(1, 0.5, 12)))
    assert (with_trials.created, with_trials.highest_number) == (10, 12)


def test_the_best_has_the_highest_milestone_then_the_value_then_the_index() -> None:
    trials = [
        trial(0, record(1, 0.1, 1, "Continue")),
        trial(3, record(1, 0.2, 2, "Continue"), record(2, 0.4, 4, "Continue")),
        trial(2, record(1, 0.3, 3, "Continue"), record(2, 0.4, 5, "Stop")),
        trial(1, record(1, 0.3, 6, "Continue"), record(2, None, 7, "Stop")),
        trial(4, record(1, 0.9, 8, "Stop"), record(4, 0.0, 9, "Void")),
    ]
    best = status(given.study(mode="Stop"), *trials).best

    assert best is not None
    assert (best.trial, best.index, best.value, best.milestone) == ("s-0002", 2, 0.4, 2)
    assert status(given.study()).best is None


def test_the_best_of_a_maximised_objective_is_the_largest_and_shown_as_reported() -> None:
    trials = [trial(i, record(1, value, i + 1, "Pause")) for i, value in enumerate([0.1, 0.7])]
    best = status(given.study(goal="Maximize"), *trials).best

    assert best is not None
    assert (best.index, best.value) == (1, 0.7)


def test_the_start_is_told_once_and_the_end_while_it_lasts() -> None:
    first = status(given.study())
    finished = status(having(given.study(), first), finish=DONE, later=60)

    assert first.started_at == timestamp(given.NOW)
    assert first.finished_at is None
    assert (finished.started_at, finished.finished_at) == (
        first.started_at,
        timestamp(given.NOW + 60),
    )


def test_a_finished_study_stays_finished_until_its_spec_changes() -> None:
    study = given.study()
    finished = having(study, status(study, finish=DONE))
    later = status(finished, later=60)
    raised = status(having(finished, later, generation=2), later=120)

    assert is_true(later.conditions, FINISHED)
    assert later.finished_at == timestamp(given.NOW)
    assert not is_true(raised.conditions, FINISHED)
    assert raised.finished_at is None
    ended = condition(later.conditions, FINISHED)
    assert ended is not None
    assert (ended.reason, ended.observed_generation) == ("Completed", 1)


def test_a_paused_study_says_so() -> None:
    found = condition(status(given.study(state="Paused")).conditions, FINISHED)

    assert found is not None
    assert (found.status, found.reason) == ("False", "Paused")


@any_of(strategies.snapshots())
def test_any_snapshot_has_a_status_and_summing_up_twice_changes_nothing(
    snapshot: tuple[Study, list[Trial]],
) -> None:
    study, trials = snapshot
    once = summarise(study, Ledger.of(study, trials), given.NOW)
    again = having(study, once)

    assert summarise(again, Ledger.of(again, trials), given.NOW) == once


def test_what_a_deleted_trial_has_used_and_stored_is_kept_in_sums_that_only_grow() -> None:
    first = trial(0, record(1, 0.5, 1, "Pause"), record(2, 0.5, 3, "Pause"), deviceSeconds=50.0)
    other = trial(1, record(1, 0.6, 2, "Pause"), deviceSeconds=30.0)
    before = having(given.study(), status(given.study(), first, other))
    alone = having(before, status(before, other))
    longer = given.changed(other, device_seconds=45.0)
    after = status(alone, longer)

    assert (before.status.spent_seconds, before.status.device_seconds) == (80.0, 0.0)
    assert (after.spent_seconds, after.device_seconds, after.reports) == (95.0, 50.0, 2)
    assert after.created == 2
