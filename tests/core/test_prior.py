"""Claims about what an earlier study hands on to a new one."""

from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.plan import decide
from scaletune.core.prior import NoPriorError, with_prior
from scaletune.core.samplers.sampler import configuration, configurations_at_most
from tests.core import given

LR = {"name": "lr", "float": {"min": 1e-4, "max": 1.0, "scale": "Log"}}
WIDTH = {"name": "width", "int": {"values": [64, 128]}}
FINISHED = {"conditions": [{"type": "Finished", "status": "True", "reason": "Completed"}]}
RULE = {"parameter": "lr", "law": "Linear", "with": "width", "reference": 128}


def earlier(*parameters: dict[str, Any], **more: Any) -> Study:
    return given.study(**{"parameters": parameters or (LR, WIDTH), "status": FINISHED, **more})


def new(*parameters: dict[str, Any], start: dict[str, Any] | None = None, **more: Any) -> Study:
    entry = {"study": "old", **(start or {})}
    return given.study(**{"parameters": parameters or (LR, WIDTH), "warm_start": [entry], **more})


def trial(index: int, lr: float, *reached: tuple[int, float], **spec: Any) -> Trial:
    fields = {
        "index": index,
        "parameters": [{"name": "lr", "float": lr}, {"name": "width", "int": 64}],
        **spec,
    }
    milestones = [{"at": at, "value": value} for at, value in reached]
    name, status = {"name": f"old-{index}"}, {"milestones": milestones}
    return Trial.model_validate({"metadata": name, "spec": fields, "status": status})


TRIALS = [
    trial(0, 0.1, (3, 5.0), (9, 2.0)),
    trial(1, 0.2, (3, 1.0)),
    trial(2, 0.3, (9, 1.5)),
    trial(3, 0.4),
    trial(4, 0.3, (9, 1.6)),
    trial(5, 0.5, (9, 0.1), role="Confirm"),
]


def begun(study: Study, old: Study | None = None, trials: list[Trial] = TRIALS) -> Study:
    return with_prior(study, {"old": (old or earlier(), trials)})


def handed_on(study: Study, old: Study | None = None) -> list[dict[str, Any]]:
    found = begun(study, old).status.prior
    assert found is not None
    return [*found.configurations]


def message(study: Study, old: Study | None = None) -> str:
    found = begun(study, old).status.prior
    assert found is not None
    return found.message


def refusal(study: Study, old: Study | None, trials: list[Trial] = TRIALS) -> tuple[str, str]:
    with pytest.raises(NoPriorError) as caught:
        with_prior(study, {} if old is None else {"old": (old, trials)})
    return caught.value.reason, str(caught.value)


# ---- which configurations


def test_the_best_come_first_each_once_and_without_those_that_were_never_judged() -> None:
    assert [each["lr"] for each in handed_on(new(start={"top": 9}))] == [0.3, 0.1, 0.2]
    assert handed_on(new(start={"top": 1})) == [{"lr": 0.3, "width": 64}]


def test_the_goal_says_which_is_better() -> None:
    wishes, old = new(goal="Maximize"), earlier(goal="Maximize")
    assert [each["lr"] for each in handed_on(wishes, old)] == [0.1, 0.3, 0.2]


def test_what_was_confirmed_as_the_best_comes_first() -> None:
    best = {"trial": "old-0", "index": 0, "value": 1.0, "milestone": 9}
    old = earlier(status={**FINISHED, "best": best})
    assert [each["lr"] for each in handed_on(new(), old)] == [0.1, 0.3, 0.2]


def test_the_order_of_the_trials_does_not_matter_and_the_answer_is_small() -> None:
    many = [trial(i, 0.01 + i / 100, (9, float(i))) for i in range(50)]
    one = begun(new(start={"top": 20}), trials=many)
    assert one == begun(new(start={"top": 20}), trials=many[::-1])
    assert one.status.prior is not None
    assert len(one.status.prior.configurations) == 20


def test_what_the_user_tries_first_anyway_is_not_tried_twice() -> None:
    assert [each["lr"] for each in handed_on(new(initial=[{"lr": 0.3, "width": 64}]))] == [0.1, 0.2]


# ---- another space


def test_an_added_parameter_is_left_open_and_a_removed_one_is_dropped() -> None:
    wishes = new(LR, {"name": "decay", "float": {"min": 0, "max": 1}}, start={"top": 1})
    assert handed_on(wishes) == [{"lr": 0.3}]
    assert message(wishes) == (
        "1 configuration from old; not searched there: decay; no parameter here: width"
    )


def test_an_added_parameter_has_the_value_that_it_had_in_the_earlier_study() -> None:
    decay = {"name": "decay", "float": {"min": 0, "max": 1}}
    found = handed_on(new(LR, decay, start={"top": 1, "added": {"decay": 0.1}}))
    assert found == [{"lr": 0.3, "decay": 0.1}]


def test_a_number_beyond_the_range_moves_to_its_end_and_a_value_that_is_gone_is_left_out() -> None:
    narrow = {"name": "lr", "float": {"min": 1e-4, "max": 0.15}}
    wishes = new(narrow, {"name": "width", "int": {"values": [128, 256]}})
    assert handed_on(wishes) == [{"lr": 0.15}, {"lr": 0.1}]
    assert "moved to the nearest value of its range: lr" in message(wishes)
    assert "values that cannot be taken here, left out: width" in message(wishes)


def test_a_fraction_becomes_the_nearest_whole_number() -> None:
    wishes = new({"name": "lr", "int": {"min": 0, "max": 9}}, start={"top": 1})
    assert handed_on(wishes) == [{"lr": 0}]


def test_a_scaled_value_is_the_sampled_one_under_the_same_rule_and_else_the_used_one() -> None:
    scaled = [trial(0, 0.2, (9, 1.0), resolved=[{"name": "lr", "float": 0.1}])]
    old = earlier(scaling_rules=[RULE])

    def lr(wishes: Study) -> Any:
        found = begun(wishes, old, scaled).status.prior
        assert found is not None
        return found.configurations[0].get("lr")

    assert lr(new(scaling_rules=[RULE])) == 0.2
    assert lr(new()) == 0.1
    assert lr(new(scaling_rules=[{**RULE, "law": "SquareRoot"}])) is None


# ---- what cannot be learned from


def test_what_is_not_there_or_not_at_its_end_is_waited_for_with_a_word() -> None:
    reason, words = refusal(new(), None)
    assert reason == "EarlierStudyMissing"
    assert "there is no study old" in words
    reason, words = refusal(new(), earlier(status={}))
    assert reason == "EarlierStudyUnfinished"
    assert "set its spec.state to Stopped" in words


@pytest.mark.parametrize(
    "other", [{"goal": "Maximize"}, {"objectives": [{"metric": "error", "goal": "Minimize"}]}]
)
def test_another_objective_is_refused(other: dict[str, Any]) -> None:
    reason, words = refusal(new(), earlier(**other))
    assert reason == "OtherObjective"
    assert "spec.initial" in words


def test_a_study_that_found_nothing_or_searched_elsewhere_is_refused() -> None:
    assert refusal(new(), earlier(), [trial(0, 0.1)])[0] == "NothingFound"
    reason, words = refusal(new({"name": "rate", "float": {"min": 0, "max": 1}}), earlier())
    assert reason == "NothingInCommon"
    assert "it searched lr, width" in words


# ---- what the new study does with it


def origins(study: Study, count: int) -> list[tuple[str, Any]]:
    found = [configuration(study, Ledger.of(study, ()), index) for index in range(count)]
    return [(each[1].kind, each[0][0].value) for each in found if each is not None]


def test_handed_on_configurations_come_after_the_users_own_and_before_the_sampler() -> None:
    study = begun(new(start={"top": 2}, initial=[{"lr": 0.5}]))
    assert origins(study, 3) == [("Initial", 0.5), ("WarmStart", 0.3), ("WarmStart", 0.1)]
    assert origins(study, 4)[3][0] == "Random"


def test_a_grid_and_a_list_begin_after_them_and_are_not_shortened() -> None:
    listed = {"list": {"configurations": [{"lr": 0.7}]}}
    study = begun(new(sampler=listed, budget={}))
    assert [kind for kind, _ in origins(study, 9)] == ["WarmStart"] * 3 + ["List"]
    assert configurations_at_most(study) == 4
    grid = begun(new(sampler={"grid": {"points": 2}}, budget={}))
    assert configurations_at_most(grid) == 3 + 4
    assert [kind for kind, _ in origins(grid, 9)] == ["WarmStart"] * 3 + ["Grid"] * 4


def test_the_center_of_the_earlier_best_is_used_instead_of_ones_own() -> None:
    centred = {"name": "lr", "float": {"min": 1e-4, "max": 1.0, "scale": "Log", "center": 0.01}}
    study = begun(new(centred, WIDTH, start={"mode": "Center"}, initial=[{"width": 128}]))
    assert study.status.prior is not None
    assert study.status.prior.center == {"lr": 0.3, "width": 64}
    assert not study.status.prior.configurations
    assert origins(study, 1) == [("Initial", 0.3)]


def test_carbs_begins_at_the_center_of_the_earlier_best() -> None:
    open_ended = {"name": "lr", "float": {"scale": "Log", "center": 0.01}}
    study = begun(new(open_ended, start={"mode": "Center"}, mode="Carbs"))
    [(kind, lr)] = origins(study, 1)
    assert (kind, lr) == ("Center", pytest.approx(0.3))


def test_carbs_does_not_begin_at_its_center_when_something_is_handed_on() -> None:
    study = begun(new(LR, start={"top": 1}, mode="Carbs"))
    assert [kind for kind, _ in origins(study, 2)] == ["WarmStart", "Center"]


def test_nothing_is_planned_before_earlier_studies_are_read_unless_the_study_is_stopped() -> None:
    waiting = new()
    assert decide(waiting, Ledger.of(waiting, ()), given.NOW).actions == ()
    assert decide(begun(waiting), Ledger.of(waiting, ()), given.NOW).actions
    stopped = new(state="Stopped")
    [end] = decide(stopped, Ledger.of(stopped, ()), given.NOW).actions
    assert type(end).__name__ == "Finish"
