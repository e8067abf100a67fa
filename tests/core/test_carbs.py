"""Claims about policy carbs: what it tries, in which order, and what it is not misled into."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from scaletune.api.action import Create
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.numerics import gaussian_process, original, pareto
from scaletune.core.plan import plan
from scaletune.core.samplers import carbs
from scaletune.core.samplers.draws import typed, uniform
from scaletune.core.samplers.sampler import configuration
from scaletune.core.seeds import stream
from tests.core import given

WIDTH: dict[str, Any] = {
    "name": "width",
    "int": {"min": 16, "max": 4096, "scale": "Log", "center": 64},
}
RATE = {"name": "rate", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}}
KIND = {"name": "kind", "choice": {"values": ["a", "b", "c"]}}
Values = dict[str, Any]


def seconds(values: Values) -> float:
    return float(values["width"] ** 1.5) / 100


def loss(values: Values) -> float:
    """The larger the better, at a rate that falls with the size; kind b is best."""
    off = math.log10(values["rate"] * values["width"] / 0.5)
    bowl = off**2 + 0.3 * (values.get("kind", "b") != "b")
    return float(1 + 20 / values["width"] ** 0.5 + bowl)


def study(most: int = 1, parallelism: int = 4, **options: Any) -> Study:
    parameters = options.pop("parameters", [WIDTH, RATE, KIND])
    budget = options.pop("budget", {"trials": 10_000})
    goal = options.pop("goal", "Minimize")
    return given.study(
        policy={"carbs": options},
        parameters=parameters,
        budget=budget,
        most=most,
        parallelism=parallelism,
        goal=goal,
    )


def ended(
    study: Study, index: int, values: Values, value: float | None, cost: float, number: int = 0
) -> Trial:
    """A trial that was trained in full, or has diverged."""
    word = "Stop" if value is None else "Complete"
    at = study.spec.training.most
    record = given.record(at, value, number or index + 1, word, deviceSeconds=cost)
    made = given.trial(index, record, state="Failed" if value is None else "Completed")
    spec = made.spec.model_copy(update={"parameters": typed(study.spec, values)})
    return made.model_copy(update={"spec": spec})


def under_way(study: Study, index: int, made: Any) -> Trial:
    trial = given.trial(index, state="Running")
    spec = trial.spec.model_copy(update={"parameters": made[0], "origin": made[1]})
    return trial.model_copy(update={"spec": spec})


def drawn(
    study: Study, count: int, objective: Callable[[Values], float | None] = loss
) -> list[Trial]:
    """Trials that were drawn uniformly."""
    found = []
    for index in range(count):
        values = uniform(study.spec, index)
        found.append(ended(study, index, values, objective(values), seconds(values)))
    return found


def proposed(study: Study, trials: Sequence[Trial], index: int) -> tuple[str, Values]:
    made = configuration(study, Ledger.of(study, trials), index)
    assert made is not None
    return made[1].kind, given.values(made[0])


def searched(study: Study, count: int) -> list[Trial]:
    """Trials as the policy would have them, each ended before the next."""
    trials: list[Trial] = []
    for index in range(count):
        made = configuration(study, Ledger.of(study, trials), index)
        assert made is not None
        values = given.values(made[0])
        trial = ended(study, index, values, loss(values), seconds(values))
        spec = trial.spec.model_copy(update={"origin": made[1]})
        trials.append(trial.model_copy(update={"spec": spec}))
    return trials


def test_the_first_trial_is_the_center() -> None:
    kind, values = proposed(study(), [], 0)

    assert kind == "Center"
    assert values == {"width": 64, "rate": pytest.approx(math.sqrt(1e-5)), "kind": "a"}


def test_what_is_tried_first_lies_around_the_center_and_then_a_model_proposes() -> None:
    kinds = [trial.spec.origin.kind for trial in searched(study(), 14) if trial.spec.origin]

    assert (
        kinds
        == ["Center"] * 4 + ["Model"] * 2 + ["Repeat"] + ["Model"] * 4 + ["Repeat"] + ["Model"] * 2
    )


def test_a_repeat_is_the_same_configuration_with_another_seed() -> None:
    one = study(budget={"trials": 7})
    trials = searched(one, 6)
    [created] = [a for a in plan(one, trials, given.NOW).actions if isinstance(a, Create)]
    origin = created.spec.origin
    assert origin is not None
    assert origin.of is not None

    assert origin.kind == "Repeat"
    assert created.spec.parameters == trials[origin.of].spec.parameters
    assert created.spec.seed != trials[origin.of].spec.seed


def test_without_repeats_none_is_made() -> None:
    kinds = {
        trial.spec.origin.kind for trial in searched(study(repeatEvery=0), 20) if trial.spec.origin
    }

    assert kinds == {"Center", "Model"}


def area(costs: Sequence[float], losses: Sequence[float]) -> float:
    """The mean over costs, each as wide on a logarithmic scale, of the best loss up to there."""
    at = np.linspace(math.log(20), math.log(2000), 50)
    return float(pareto.best_so_far(np.log(costs), np.array(losses), at, without=10.0).mean())


def test_the_front_is_better_than_that_of_draws_which_cost_as_much() -> None:
    centered = {**WIDTH, "int": {**WIDTH["int"], "center": 512}}
    records = [
        trial.status.milestones[0] for trial in searched(study(parameters=[centered, RATE]), 60)
    ]
    costs = [record.device_seconds for record in records]
    found = area(costs, [record.value or math.inf for record in records])
    by_chance: list[float] = []
    for seed in range(5):
        left, draws, seen = sum(costs), random.Random(seed), list[Values]()
        while left > 0:
            seen.append(uniform(study(parameters=[WIDTH, RATE]).spec, draws.randrange(10**6)))
            left -= seconds(seen[-1])
        by_chance.append(area([*map(seconds, seen)], [*map(loss, seen)]))

    assert found < min(by_chance)


def test_costs_grow_with_what_was_spent() -> None:
    costs = [trial.status.milestones[0].device_seconds for trial in searched(study(), 60)]

    assert all(cost < max(10 * costs[0], sum(costs[:i])) for i, cost in enumerate(costs) if i > 3)


def test_no_trial_is_proposed_above_the_ceiling_of_cost() -> None:
    capped = study(costMax=50.0, repeatEvery=0)
    trials = drawn(capped, 60)
    found = [proposed(capped, trials, index) for index in range(60, 90)]

    assert {kind for kind, _ in found} == {"Model"}
    assert max(seconds(values) for _, values in found) < 55


def test_the_ceiling_holds_also_for_what_is_tried_first_and_repeated() -> None:
    capped = study(costMax=1.0)
    first = drawn(capped, 3)
    later = searched(capped, 40)

    assert all(seconds(proposed(capped, first, index)[1]) < 5 for index in range(3, 20))
    assert all(trial.status.milestones[0].device_seconds < 1.1 for trial in later[8:])


def test_configurations_that_fail_are_avoided() -> None:
    def objective(values: Values) -> float | None:
        return None if values["rate"] > 3e-3 else values["width"] ** -0.5

    one = study(parameters=[WIDTH, RATE], repeatEvery=0)
    trials = drawn(one, 30, objective)
    for index in range(30, 50):
        values = proposed(one, trials, index)[1]
        trials.append(ended(one, index, values, objective(values), seconds(values)))
    failed = sum(trial.status.state == "Failed" for trial in trials[30:])

    assert failed <= 4


def test_trials_at_once_are_sent_to_different_places() -> None:
    one = study(repeatEvery=0, parallelism=8)
    trials = drawn(one, 20)
    for index in range(20, 28):
        trials.append(under_way(one, index, configuration(one, Ledger.of(one, trials), index)))
    cube = carbs.cube_of(one.spec)
    points = [cube.point(trial) or () for trial in trials[20:]]
    apart = min(math.dist(a, b) for i, a in enumerate(points) for b in points[:i])

    assert apart > 0.05


def test_the_order_of_trials_and_what_is_remembered_change_nothing() -> None:
    trials = drawn(study(), 40)
    expected = [proposed(study(), trials, index) for index in range(40, 44)]
    gaussian_process._fitted.cache_clear()
    carbs._cube_of.cache_clear()
    shuffled = random.Random(1).sample(trials, len(trials))

    assert [proposed(study(), shuffled, index) for index in range(40, 44)] == expected


def test_most_trials_that_end_need_no_new_fit() -> None:
    one = study(repeatEvery=0)
    trials = drawn(one, 60, lambda values: None if values["rate"] > 0.03 else loss(values))
    fits = [gaussian_process._fitted.cache_info().misses]
    for count in range(20, 61):
        proposed(one, trials[:count], count)
        fits.append(gaussian_process._fitted.cache_info().misses)
    fitted = [before < after for before, after in pairwise(fits)]

    assert {each.status.state for each in trials} == {"Completed", "Failed"}
    assert sum(fitted) < len(fitted) / 4


def test_the_original_is_as_pure_and_keeps_the_ceiling() -> None:
    one = study(surrogate="Original", costMax=50.0, repeatEvery=0)
    trials = drawn(one, 40, lambda values: None if values["rate"] > 0.05 else loss(values))
    trials.append(under_way(one, 40, configuration(one, Ledger.of(one, trials), 40)))
    found = [proposed(one, trials, index) for index in range(41, 51)]
    carbs._cube_of.cache_clear()

    assert {kind for kind, _ in found} == {"Model"}
    assert max(seconds(values) for _, values in found) < 60
    assert [proposed(one, trials[::-1], index) for index in range(41, 51)] == found


def test_the_original_looks_near_the_front_alone() -> None:
    one = study(surrogate="Original", repeatEvery=0, parameters=[WIDTH, RATE])
    trials = drawn(one, 40)
    cube, ledger = carbs.cube_of(one.spec), Ledger.of(one, trials)
    known = carbs._knowledge(one, cube, ledger, list(carbs._ended(cube, ledger)))
    search = original._Search(known, carbs.uniforms_of(stream(0, 40, "what to try next")))
    front = known.seen.points[[group.members[0] for group in search.front]]
    point = search.best()

    assert min(math.dist(point, each) for each in front) < 4 * known.radius


def test_to_maximise_is_to_minimise_the_opposite() -> None:
    up, down = study(goal="Maximize"), study()
    risen = drawn(up, 30, lambda values: -loss(values))

    assert proposed(up, risen, 30) == proposed(down, drawn(down, 30), 30)


def test_parameters_without_bounds_are_searched_from_the_center_outwards() -> None:
    free = study(
        parameters=[
            {"name": "width", "int": {"center": 64, "scale": "Log"}},
            {"name": "rate", "float": {"center": 1e-2, "scale": "Log"}},
            {"name": "slope", "float": {"center": 2.0}},
            {"name": "drop", "float": {"center": 0.1, "scale": "Logit"}},
        ]
    )
    found = searched(free, 40)
    widths = [given.values(trial.spec.parameters)["width"] for trial in found]

    assert widths[0] == 64
    assert max(widths) > 100
    assert min(widths) >= 1


def test_values_are_multiples_and_steps_as_wide_as_the_user_says() -> None:
    parameters = [
        {"name": "width", "int": {"center": 128, "scale": "Log"}},
        {"name": "rate", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}},
    ]
    steps = [{"parameter": "width", "multipleOf": 64}, {"parameter": "rate", "width": 0.01}]
    one = study(parameters=parameters, steps=steps, repeatEvery=0)
    found = [given.values(trial.spec.parameters) for trial in searched(one, 16)]
    first = [values["rate"] for values in found[:4]]

    assert all(values["width"] % 64 == 0 and values["width"] > 0 for values in found)
    assert len({values["width"] for values in found}) > 3
    assert max(first) / min(first) < 1.1
    assert carbs.cube_of(one.spec).space.steps[1] == 0.0


@pytest.mark.parametrize(
    "objective",
    [
        lambda values: 1.0,
        lambda values: None if values["rate"] < 1e-3 else loss(values),
        lambda values: 1e308 if values["rate"] < 1e-3 else -1e308,
        lambda values: 1e300 if values["rate"] < 2e-4 else loss(values),
        lambda values: None,
    ],
    ids=["constant", "half of them diverge", "huge", "an outlier", "all diverge"],
)
def test_whatever_was_seen_configurations_are_valid(objective: Any) -> None:
    trials = drawn(study(), 40, objective)
    found = [proposed(study(), trials, index)[1] for index in range(40, 50)]

    assert all(16 <= values["width"] <= 4096 for values in found)
    assert all(1e-4 <= values["rate"] <= 1e-1 for values in found)


def test_costs_of_zero_and_a_space_of_a_single_point_are_no_trouble() -> None:
    one = study(parameters=[{"name": "kind", "choice": {"values": ["a"]}}])
    trials = [ended(one, index, {"kind": "a"}, 1.0, 0.0) for index in range(20)]

    assert proposed(one, trials, 20)[1] == {"kind": "a"}


def test_a_trial_that_does_not_say_its_parameters_teaches_nothing() -> None:
    trials = drawn(study(), 20)
    record = given.record(1, -99.0, 99, "Complete", deviceSeconds=1.0)

    assert proposed(study(), [*trials, given.trial(20, record)], 21) == proposed(
        study(), trials, 21
    )


def test_milestones_below_the_end_teach_and_stop_nobody() -> None:
    one = study(most=9, milestones=[3, 1])
    trial = given.trial(
        0, given.record(1, 5.0, 1), given.record(3, 4.0, 2), given.record(9, 3.0, 3)
    )
    words = given.words(plan(one, [trial], given.NOW))

    assert words == [(0, 1, "Continue"), (0, 3, "Continue"), (0, 9, "Complete")]


def test_what_a_trial_reports_on_the_way_changes_what_is_tried_next() -> None:
    one = study(most=9, milestones=[1, 3], repeatEvery=0)
    trials = drawn(one, 12)
    made = configuration(one, Ledger.of(one, trials), 12)
    running = under_way(one, 12, made)
    record = given.record(3, 0.5, 50, "Continue", deviceSeconds=2.0)
    heard = given.changed(running, milestones=(record,))

    assert proposed(one, [*trials, heard], 13) != proposed(one, [*trials, running], 13)


def test_ten_thousand_observations_make_a_model_no_larger_than_a_few_hundred() -> None:
    one = study(parameters=[WIDTH, RATE])
    trials = drawn(one, 10_000, lambda values: None if values["width"] > 256 else loss(values))
    cube, ledger = carbs.cube_of(one.spec), Ledger.of(one, trials)
    known = carbs._knowledge(one, cube, ledger, list(carbs._ended(cube, ledger)))

    assert len(known.seen.points) == carbs.ROWS
    assert 0 < known.fitted_on <= carbs.ROWS
    assert 0 < len(known.failed) <= carbs.ROWS
    assert 0 < known.failed_fitted_on < len(known.failed)
