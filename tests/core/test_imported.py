"""Claims about trainings that another tuner has tried, as a Study that has finished."""

import math

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.imported import MILESTONES_MAX, Point, Training, imported
from tests.core import given

STUDY = given.study(most=100)


def taken(*curves: list[Point], study: Study = STUDY) -> tuple[Study, list[Trial]]:
    trainings = [Training({"learning_rate": 0.01}, [*curve]) for curve in curves]
    return imported(study, trainings, "r.csv", given.NOW)


def test_the_best_is_of_the_longest_trainings_and_the_study_has_finished() -> None:
    study, _ = taken([Point(50, 0.1, 5)], [Point(50, 3.0, 5), Point(100, 2.0, 9)])
    [finished] = study.status.conditions
    assert (finished.type, finished.status, finished.reason) == ("Finished", "True", "Imported")
    assert study.status.best is not None
    assert (study.status.best.index, study.status.best.value) == (1, 2.0)
    assert study.status.created == 2
    assert study.status.spent_seconds == 14


def test_a_policy_that_would_have_decided_otherwise_is_dropped_and_carbs_is_kept() -> None:
    assert taken([Point(100, 1.0, 1)])[0].spec.policy.asha is None
    carbs = given.study(most=100, mode="Carbs")
    assert taken([Point(100, 1.0, 1)], study=carbs)[0].spec.policy.carbs is not None


def test_what_diverged_has_failed_and_its_later_values_do_not_count() -> None:
    curve = [Point(10, 1.0, 1), Point(20, math.nan, 2), Point(100, 0.1, 9)]
    _, [trial, _] = taken(curve, [Point(100, 1.0, 1)])
    assert trial.status.state == "Failed"
    assert [each.outcome for each in trial.status.milestones] == ["Value", "Diverged"]


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    _, [trial] = taken([Point(step, 1 / step, step) for step in range(1, 101)])
    assert len(trial.status.milestones) == MILESTONES_MAX
    assert trial.status.milestones[-1].at == 100
