"""Claims about what an earlier study hands on to a new one."""

from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.prior import TOP_MAX, digest, handed_on

LR = {"name": "lr", "float": {"min": 1e-4, "max": 1.0, "scale": "Log"}}
WIDTH = {"name": "width", "int": {"values": [64, 128]}}


def study(*parameters: dict[str, Any], goal: str = "Minimize") -> Study:
    spec = {
        "objectives": [{"metric": "loss", "goal": goal}],
        "parameters": list(parameters),
        "training": {"unit": "Step", "max": 9},
        "template": {"pod": {}},
    }
    return Study.model_validate({"metadata": {"name": "s"}, "spec": spec})


def trial(index: int, lr: float, *reached: tuple[int, float], role: str = "Search") -> Trial:
    parameters = [{"name": "lr", "float": lr}, {"name": "width", "int": 64}]
    spec = {"study": "s", "index": index, "role": role, "parameters": parameters}
    milestones = [{"at": at, "value": value} for at, value in reached]
    return Trial.model_validate(
        {
            "metadata": {"name": f"s-{index}"},
            "spec": spec,
            "status": {"milestones": milestones},
        }
    )


TRIALS = [
    trial(0, 0.1, (3, 5.0), (9, 2.0)),
    trial(1, 0.2, (3, 1.0)),
    trial(2, 0.3, (9, 1.5)),
    trial(3, 0.4),
    trial(4, 0.3, (9, 1.6)),
    trial(5, 0.5, (9, 0.1), role="Confirm"),
]


def lrs(found: tuple[dict[str, Any], ...]) -> list[Any]:
    return [each.get("lr") for each in found]


def test_the_best_come_first_each_once_and_without_those_that_were_never_judged() -> None:
    one = study(LR, WIDTH)
    assert lrs(handed_on(one.spec, one, TRIALS, 9)) == [0.3, 0.1, 0.2]
    assert lrs(handed_on(one.spec, one, TRIALS, 1)) == [0.3]


def test_the_earlier_studys_goal_says_which_is_better() -> None:
    one = study(LR, WIDTH, goal="Maximize")
    assert lrs(handed_on(one.spec, one, TRIALS, 9)) == [0.1, 0.3, 0.2]


def test_an_added_parameter_is_left_out_and_a_removed_one_dropped() -> None:
    added = {"name": "decay", "float": {"min": 0, "max": 1}}
    found = handed_on(study(LR, added).spec, study(LR, WIDTH), TRIALS, 1)
    assert found == ({"lr": 0.3},)


def test_a_value_that_the_new_space_lacks_is_left_out() -> None:
    narrow = {"name": "lr", "float": {"min": 1e-4, "max": 0.15}}
    wide = {"name": "width", "int": {"values": [128, 256]}}
    assert handed_on(study(narrow, wide).spec, study(LR, WIDTH), TRIALS, 9) == ({"lr": 0.1},)


def test_the_order_of_the_trials_does_not_matter_and_the_answer_is_small() -> None:
    one, many = study(LR, WIDTH), [trial(i, 0.01 + i / 100, (9, float(i))) for i in range(50)]
    found = handed_on(one.spec, one, many, 50)
    assert len(found) == TOP_MAX
    assert digest(found) == digest(handed_on(one.spec, one, reversed(many), 50))
