"""Claims about scaling laws: what is found along the front, how sure it is, and where it leads."""

import math
import random
from functools import lru_cache
from typing import Any

import pytest

from scaletune.api.configuration import Checkpoint
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import laws
from scaletune.core.ledger import Ledger
from scaletune.core.samplers.draws import typed
from tests.bench.planted import PARAMETERS, Planted, cost
from tests.core import given

SURFACE = Planted(0.3, 0.45)
Values = dict[str, Any]


def study(**spec: Any) -> Study:
    parameters = spec.pop("parameters", list(PARAMETERS))
    return given.study(mode="Carbs", most=1, parameters=parameters, **spec)


def ended(study: Study, index: int, values: Values, value: float, seconds: float) -> Trial:
    record = given.record(1, value, index + 1, "Complete", deviceSeconds=seconds)
    made = given.trial(index, record, state="Completed")
    spec = made.spec.model_copy(update={"parameters": typed(study.spec, values)})
    return made.model_copy(update={"spec": spec})


def around_the_front(seed: int, count: int) -> list[tuple[Values, float]]:
    """Configurations near the best ones, as a search leaves them, and their losses."""
    draw, found = random.Random(seed), []
    exponents = SURFACE.exponents
    for index in range(count):
        dearer = draw.uniform(0.0, 7.0)
        at = {name: exponents[name] * dearer + draw.gauss(0, 0.6) for name in exponents}
        values: Values = {
            "N": round(1e7 * math.exp(at["N"])),
            "D": round(2e8 * math.exp(at["D"])),
            "lr": min(3e-3 * math.exp(at["lr"]), 0.1),
            "wd": min(0.1 * math.exp(at["wd"]), 1.0),
        }
        found.append((values, float(SURFACE.curve(values, seed * 1000 + index)[0][0])))
    return found


def snapshot(study: Study, seed: int = 0, count: int = 80) -> Ledger:
    each = around_the_front(seed, count)
    sign = 1 if study.spec.objectives[0].goal == "Minimize" else -1
    trials = [ended(study, i, v, sign * loss, cost(v)) for i, (v, loss) in enumerate(each)]
    return Ledger.of(study, trials)


@lru_cache
def told(seed: int) -> laws.Laws:
    return laws.laws(study(), snapshot(study(), seed))


@pytest.mark.parametrize("seed", range(2))
def test_the_law_of_the_size_is_found_again_and_the_interval_holds_it(seed: int) -> None:
    size = told(seed).laws[0]
    low, high = size.interval

    assert size.says == "Law"
    assert abs(size.exponent - SURFACE.exponents["N"]) < 0.1
    assert low - 0.05 < SURFACE.exponents["N"] < high + 0.05
    assert high - low < 0.3


def test_the_same_trials_tell_the_same_whichever_way_is_better() -> None:
    other_way = study(goal="Maximize")

    assert laws.laws(other_way, snapshot(other_way)).laws == told(0).laws


def test_few_trials_are_said_to_tell_nothing() -> None:
    with pytest.raises(laws.CannotTell, match=r"12 trials .* a law needs 20"):
        laws.laws(study(), snapshot(study(), count=12))


def test_a_trial_that_went_on_from_another_ones_checkpoint_tells_no_law() -> None:
    """Its cost is that of its own part of the training, and its value not that of its values."""
    one = study()
    trials = [
        ended(one, i, v, loss, cost(v)) for i, (v, loss) in enumerate(around_the_front(0, 30))
    ]
    parent = Checkpoint(trial=0, incarnation="a", step=1)
    children = [
        each.model_copy(update={"spec": each.spec.model_copy(update={"parent": parent})})
        for each in trials[:12]
    ]

    with pytest.raises(laws.CannotTell, match=r"18 trials .* a law needs 20"):
        laws.laws(one, Ledger.of(one, [*children, *trials[12:]]))


def test_trainings_that_cost_the_same_are_said_to_tell_nothing() -> None:
    one = study()
    trials = [ended(one, i, v, loss, 100.0) for i, (v, loss) in enumerate(around_the_front(0, 30))]

    with pytest.raises(laws.CannotTell, match="1 times the cheapest"):
        laws.laws(one, Ledger.of(one, trials))


def test_noise_alone_is_no_law() -> None:
    one, draw = study(), random.Random(1)
    trials = [
        ended(one, i, values, draw.random(), cost(values))
        for i, (values, _) in enumerate(around_the_front(0, 60))
    ]

    assert laws.laws(one, Ledger.of(one, trials)).laws[3].says in ("Constant", "Unknown")


def test_the_front_has_what_is_better_than_all_that_is_cheaper() -> None:
    front = laws.front(study(), snapshot(study()))

    assert [each.cost for each in front] == sorted(each.cost for each in front)
    assert [each.value for each in front] == sorted((each.value for each in front), reverse=True)


def test_what_has_no_order_keeps_the_best_value() -> None:
    kind = {"name": "kind", "choice": {"values": ["a", "b"]}}
    one = study(parameters=[*PARAMETERS, kind])
    trials = []
    for i, (values, loss) in enumerate(around_the_front(0, 60)):
        better = i % 3 > 0
        chosen = {**values, "kind": "b" if better else "a"}
        trials.append(ended(one, i, chosen, loss + 0.3 * (not better), cost(values)))
    found = laws.laws(one, Ledger.of(one, trials))

    assert found.laws[-1].says == "Best"
    assert found.predict(100)["kind"].value == "b"


POD = {"spec": {"containers": [{"name": "trainer", "image": "none", "command": ["none"]}]}}
