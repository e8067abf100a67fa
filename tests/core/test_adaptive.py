"""Claims about the adaptive sampler: what it learns from, what cannot mislead it, what it costs."""

import math
import random
from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.samplers import adaptive
from scaletune.core.samplers.draws import typed, uniform
from scaletune.core.samplers.sampler import configuration
from tests.core import given

X = {"name": "x", "float": {"min": 0.0, "max": 1.0}}
Y = {"name": "y", "int": {"min": 1, "max": 64, "scale": "Log"}}
Z = {"name": "z", "choice": {"values": ["a", "b", "c"]}}


def bowl(values: dict[str, Any]) -> float:
    """Best at x = .7, y = 8, z = b."""
    off = (values["x"] - 0.7) ** 2 + (math.log(values["y"] / 8) / 4) ** 2
    return float(off + (values["z"] != "b"))


def study(**spec: Any) -> Study:
    return given.study(**{"parameters": [X, Y, Z], "budget": {"trials": 10_000}, **spec})


def seen(study: Study, count: int, objective: Any = bowl) -> list[Trial]:
    """Trials that were drawn, each with a record at the first rung, every fourth at the next."""
    trials = []
    for index in range(count):
        values = uniform(study.spec, index)
        value = objective(values)
        records = [given.record(1, value, index + 1, "Stop" if value is None else "Pause")]
        if index % 4 == 0 and value is not None:
            records.append(given.record(2, value - 0.1, count + index + 1, "Pause"))
        trial = given.trial(index, *records, until=2 if len(records) > 1 else 1)
        spec = trial.spec.model_copy(update={"parameters": typed(study.spec, values)})
        trials.append(trial.model_copy(update={"spec": spec}))
    return trials


def proposed(
    study: Study, trials: list[Trial], count: int = 20
) -> list[tuple[str, dict[str, Any]]]:
    """(origin, values) of the next configurations, as if nothing came in between."""
    ledger = Ledger.of(study, trials)
    found: list[tuple[str, dict[str, Any]]] = []
    for index in range(len(trials), len(trials) + count):
        made = configuration(study, ledger, index)
        assert made is not None
        assert made[1] is not None
        found.append((made[1].kind, given.values(made[0])))
    return found


def test_the_first_trials_are_the_draws_of_random() -> None:
    adapting, drawing = study(), study(sampler={"random": {}})
    trials = seen(adapting, 15)

    assert proposed(adapting, trials, 1) == proposed(drawing, trials, 1)


def test_without_a_finite_value_everything_is_drawn() -> None:
    trials = seen(study(), 40, objective=lambda values: None)

    assert {kind for kind, _ in proposed(study(), trials)} == {"Random"}


def test_all_parts_of_the_mixture_have_their_turn() -> None:
    kinds = [kind for kind, _ in proposed(study(), seen(study(), 40))]

    assert [kinds.count(kind) for kind in ("Random", "Mutation", "Model")] == [6, 7, 7]


def test_the_model_looks_where_the_best_are() -> None:
    found = [values for kind, values in proposed(study(), seen(study(), 60)) if kind == "Model"]
    median = sorted(map(bowl, found))[len(found) // 2]
    drawn = sorted(bowl(uniform(study().spec, index)) for index in range(200))

    assert median < drawn[len(drawn) // 10]


def test_a_goal_the_other_way_round_gives_the_same_configurations() -> None:
    down, up = study(), study(goal="Maximize")
    negative = seen(up, 40, objective=lambda values: -bowl(values))
    mirrored = [
        given.changed(
            trial,
            milestones=tuple(
                record.model_copy(update={"value": -(other.value or 0.0)})
                for record, other in zip(
                    trial.status.milestones, twin.status.milestones, strict=True
                )
            ),
        )
        for trial, twin in zip(negative, seen(down, 40), strict=True)
    ]

    assert proposed(up, mirrored) == proposed(down, seen(down, 40))


def test_only_the_order_of_values_matters() -> None:
    def stretched(values: dict[str, Any]) -> float:
        return math.exp(20 * bowl(values))

    def outlier(trial: Trial) -> Trial:
        records = trial.status.milestones
        return given.changed(trial, milestones=(records[0].model_copy(update={"value": 1e300}),))

    one_rung = [t for t in seen(study(), 40) if len(t.status.milestones) == 1]
    same = [t for t in seen(study(), 40, stretched) if len(t.status.milestones) == 1]
    worst = max(range(len(one_rung)), key=lambda i: one_rung[i].status.milestones[0].value or 0)
    wild = [outlier(trial) if i == worst else trial for i, trial in enumerate(one_rung)]

    assert proposed(study(), same) == proposed(study(), one_rung)
    assert proposed(study(), wild) == proposed(study(), one_rung)


def test_the_order_of_trials_and_what_is_remembered_change_nothing() -> None:
    from scaletune.core.numerics import gaussian_process

    trials = seen(study(), 40)
    expected = proposed(study(), trials)
    shuffled = random.Random(1).sample(trials, len(trials))
    gaussian_process._fitted.cache_clear()
    adaptive._cube.cache_clear()

    assert proposed(study(), shuffled) == expected


@pytest.mark.parametrize(
    "objective",
    [
        lambda values: 1.0,
        lambda values: None if values["x"] < 0.5 else bowl(values),
        lambda values: 1e308 if values["x"] < 0.5 else -1e308,
    ],
    ids=["constant", "half of them diverge", "huge"],
)
def test_whatever_was_seen_configurations_are_valid_and_hardly_any_two_are_the_same(
    objective: Any,
) -> None:
    found = proposed(study(), seen(study(), 60, objective))

    assert all(0 <= values["x"] <= 1 for _, values in found)
    assert all(1 <= values["y"] <= 64 for _, values in found)
    assert len({tuple(values.values()) for _, values in found}) >= len(found) - 2


def test_what_diverges_is_avoided() -> None:
    trials = seen(study(), 60, lambda values: None if values["x"] > 0.5 else 1.0 + values["x"])
    found = [values["x"] for kind, values in proposed(study(), trials, 40) if kind == "Model"]

    assert sum(x > 0.5 for x in found) <= len(found) // 5


def test_the_model_tries_no_copies_of_the_best_where_the_function_is_rough() -> None:
    def rough(values: dict[str, Any]) -> float:
        cell = f"{int(8 * values['x'])}/{int(8 * values['w'])}"
        smooth = (values["x"] - 0.7) ** 2 + (values["w"] - 0.3) ** 2
        return float(smooth + 0.3 * random.Random(cell).random())

    square = study(parameters=[X, {"name": "w", "float": {"min": 0.0, "max": 1.0}}])
    trials = seen(square, 120, rough)
    tried = [given.values(trial.spec.parameters) for trial in trials]
    found = [values for kind, values in proposed(square, trials, 60) if kind == "Model"]

    def apart(values: dict[str, Any]) -> float:
        return float(min(max(abs(values[name] - each[name]) for name in "xw") for each in tried))

    assert min(map(apart, found)) > 0.07


def test_a_space_of_a_single_point_has_one_configuration() -> None:
    one = study(parameters=[{"name": "z", "choice": {"values": ["a"]}}])
    trials = seen(one, 40, lambda values: 1.0)

    assert {values["z"] for _, values in proposed(one, trials)} == {"a"}


def test_two_processes_at_once_are_not_sent_to_the_same_place() -> None:
    trials = seen(study(), 40)
    for index in range(40, 48):
        made = configuration(study(), Ledger.of(study(), trials), index)
        assert made is not None
        trial = given.trial(index, state="Running")
        spec = trial.spec.model_copy(update={"parameters": made[0]})
        trials.append(trial.model_copy(update={"spec": spec}))
    places = {tuple(given.values(trial.spec.parameters).values()) for trial in trials[40:]}

    assert len(places) == 8


def test_the_first_trial_is_at_the_centers_and_half_of_the_first_draws_around_them() -> None:
    x = {"name": "x", "float": {"min": 0.0, "max": 1.0, "center": 0.9}}
    near: list[float] = []
    for seed in range(4):
        centered = study(parameters=[x, Y, Z], seed=seed)
        empty = Ledger.of(centered, ())
        first, *made = [configuration(centered, empty, index) for index in range(200)]
        found = [(i, m[0]) for i, m in enumerate(made, 1) if m and m[1].kind == "Center"]
        near += [given.values(parameters)["x"] for _, parameters in found]

        assert first
        assert given.values(first[0])["x"] == 0.9
        assert max(index for index, _ in found) < adaptive.CENTERED
    assert 65 < len(near) < 123
    assert 0.75 < sum(near) / len(near) < 0.95


def test_where_the_user_says_what_to_try_first_the_centers_are_not_tried_beside_it() -> None:
    centered = study(
        parameters=[{"name": "x", "float": {"min": 0.0, "max": 1.0, "center": 0.9}}, Y, Z],
        initial=[{"x": 0.5}],
    )
    empty = Ledger.of(centered, ())
    made = [configuration(centered, empty, index) for index in range(3)]
    first, *others = [given.values(m[0])["x"] for m in made if m]

    assert first == 0.5
    assert 0.9 not in others


def test_ten_thousand_observations_make_a_model_no_larger_than_a_few_hundred() -> None:
    many, few = (Ledger.of(study(), seen(study(), count)) for count in (10_000, 400))

    assert len(adaptive._rows(many)) == len(adaptive._rows(few)) == adaptive.ROWS
    assert len(adaptive._rows_for_fit(many)) <= adaptive.FIT_ROWS
