"""Claims about portfolios: configurations that together do best over several studies."""

from scaletune.api.study import Study
from scaletune.core.portfolio import greedy, portfolio
from tests.core import given
from tests.core.test_prior import FINISHED, LR, WIDTH, trial

STUDY = given.study(parameters=[LR, WIDTH], status=FINISHED)


def test_the_next_one_lowers_the_mean_rank_of_the_best_so_far_the_most() -> None:
    ranks = [(0.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.0, 0.0, 0.6)]
    assert greedy(ranks, 3) == [1, 0, 2]
    assert greedy(ranks, 1) == [1]
    assert greedy([], 3) == []


def test_one_is_chosen_for_every_kind_of_study_instead_of_the_second_best_of_one() -> None:
    low = [trial(i, lr, (9, float(i))) for i, lr in enumerate([0.001, 0.0012, 0.1, 0.9])]
    high = [trial(i, lr, (9, float(i))) for i, lr in enumerate([0.9, 0.1, 0.0012, 0.001])]
    found = portfolio(STUDY.spec, [(STUDY, low), (STUDY, high)], 2)
    assert sorted(each.parameters["lr"] for each in found) == [0.001, 0.9]


def test_what_a_study_has_not_tried_is_taken_from_its_nearest() -> None:
    one = [trial(0, 0.001, (9, 1.0)), trial(1, 0.9, (9, 2.0))]
    other = [trial(0, 0.5, (9, 1.0)), trial(1, 0.002, (9, 2.0)), trial(2, 0.0001, (9, 3.0))]
    best = portfolio(STUDY.spec, [(STUDY, one), (STUDY, other)], 9)
    assert {each.parameters["lr"]: each.ranks for each in best} == {
        0.001: (0.0, 0.5),
        0.9: (1.0, 0.0),
        0.5: (1.0, 0.0),
        0.002: (0.0, 0.5),
        0.0001: (0.0, 1.0),
    }


def test_another_metric_and_goal_only_ranks_its_trials() -> None:
    best = given.study(parameters=[LR, WIDTH], goal="Maximize", status=FINISHED)
    trials = [trial(0, 0.1, (9, 1.0)), trial(1, 0.2, (9, 2.0))]
    [found] = portfolio(STUDY.spec, [(best, trials)], 1)
    assert found.parameters["lr"] == 0.2


def test_a_trial_that_does_not_fit_into_the_space_is_not_looked_at() -> None:
    narrow = {"name": "lr", "float": {"min": 1e-4, "max": 0.15}}
    spec = given.study(parameters=[narrow, WIDTH]).spec
    trials = [trial(0, 0.2, (9, 1.0)), trial(1, 0.1, (9, 2.0))]
    [found] = portfolio(spec, [(STUDY, trials)], 3)
    assert found.parameters == {"lr": 0.1, "width": 64}


def test_values_mean_what_they_mean_in_the_first_study() -> None:
    """Its rule scales what it begins with: values that another rule has scaled do not fit."""
    scaled = [{"parameter": "lr", "law": "Linear", "with": "width", "reference": 32}]
    ruled = given.study(parameters=[LR, WIDTH], status=FINISHED, scaling_rules=scaled)
    drawn = trial(0, 0.1, (9, 1.0))
    used = [{"name": "lr", "float": 0.2}]
    spec = {**drawn.spec.to_yaml_fields(), "resolved": used}
    fields = {**drawn.model_dump(by_alias=True), "spec": spec}
    made = drawn.model_validate(fields)

    def of(first: Study, other: Study) -> list[object]:
        return [each.parameters["lr"] for each in portfolio(first.spec, [(other, [made])], 1)]

    assert of(ruled, ruled) == [0.1]
    assert of(STUDY, ruled) == [0.2]
    assert of(ruled, STUDY) == []
