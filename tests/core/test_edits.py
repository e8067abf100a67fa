"""Claims about edits of a Study that has ended, and about Trials deleted by hand."""

from typing import Any

import pytest

from scaletune.api.action import Finish
from scaletune.core.plan import plan
from tests.core.given import NOW, acts, record, study, trial


@pytest.mark.parametrize(
    "edit", [{"parallelism": 7}, {"state": "Paused"}, {"budget": {"trials": 1, "duration": "9h"}}]
)
def test_an_edit_that_gives_a_finished_study_nothing_to_do_leaves_it_finished(
    edit: dict[str, Any],
) -> None:
    done = trial(0, record(4, 0.5, 1, "Complete"), state="Completed", until=4)
    told = {"type": "Finished", "status": "True", "reason": "Completed", "observedGeneration": 1}
    spec = {"mode": "Full", "budget": {"trials": 1}, "status": {"conditions": [told]}}

    edited = plan(study(**{**spec, **edit}, generation=2), [done], NOW)
    untouched = plan(study(**spec, generation=1), [done], NOW)

    assert [(a.cause) for a in edited.actions if isinstance(a, Finish)] == ["Completed"]
    assert acts(untouched) == []


def test_a_finished_study_that_is_paused_goes_on_when_its_budget_is_raised() -> None:
    done = trial(0, record(4, 0.5, 1, "Complete"), state="Completed", until=4)
    told = {"type": "Finished", "status": "True", "reason": "Completed", "observedGeneration": 1}
    raised = study(mode="Full", status={"conditions": [told]}, state="Paused", generation=2)

    assert acts(plan(raised, [done], NOW)) == []


def test_a_stopped_study_that_is_told_to_run_leaves_its_trials_stopped_and_makes_new_ones() -> None:
    told = {"type": "Finished", "status": "True", "reason": "Stopped", "observedGeneration": 1}
    again = study(mode="Full", status={"conditions": [told]}, parallelism=9, generation=2)
    stopped = trial(0, state="Stopped", intent="Stopped")

    assert acts(plan(again, [stopped], NOW)) == [("Create", i) for i in range(1, 8)]


def test_the_cost_of_a_trial_deleted_by_hand_is_not_refunded() -> None:
    spent = study(mode="Full", budget={"gpuHours": 1}, status={"spentSeconds": 3600, "created": 2})
    left = trial(1, state="Completed", deviceSeconds=600.0)

    assert [a.cause for a in plan(spent, [left], NOW).actions if isinstance(a, Finish)] == [
        "BudgetExhausted"
    ]
