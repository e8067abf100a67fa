"""Claims about what models learn from an earlier study's observations, and what misleads nobody."""

import math
import random
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.warm_start import OBSERVATIONS_MAX, Observed, Prior
from scaletune.core.numerics.lessons import Expectation, Lesson
from scaletune.core.prior import OBSERVATIONS_BYTES
from scaletune.core.samplers import earlier
from scaletune.core.samplers.draws import uniform
from tests.core import test_adaptive
from tests.core.test_adaptive import bowl, proposed, seen
from tests.core.test_prior import LR, WIDTH, begun, message, new, refusal, trial
from tests.core.test_prior import earlier as earlier_study

LEARN: dict[str, Any] = {"mode": "Observations"}


def observed(study: Study, **more: Any) -> Observed:
    prior = begun(study, **more).status.prior
    assert prior is not None
    assert prior.configurations == ()
    [found] = prior.observations
    return found


def told(study: Study, objective: Any, count: int = 60, names: Sequence[str] = "xyz") -> Study:
    """The Study as one that was told what an earlier one had seen of an objective."""
    drawn = sorted((uniform(study.spec, 10_000 + i) for i in range(count)), key=objective)
    configurations = tuple({name: values[name] for name in names} for values in drawn)
    prior = Prior(observations=(Observed(study="old", configurations=configurations),))
    return study.model_copy(update={"status": study.status.model_copy(update={"prior": prior})})


def upside_down(values: dict[str, Any]) -> float:
    return -bowl(values)


# ---- what is handed on


def test_all_that_was_judged_is_handed_on_the_best_first_and_what_failed_last() -> None:
    trials = [
        trial(0, 0.1, (3, 5.0), (9, 2.0)),
        trial(1, 0.2, (3, 1.0)),
        trial(2, 0.3, (9, 1.5)),
        trial(3, 0.4),
        trial(5, 0.5, (9, 0.1), role="Confirm"),
    ]
    diverged = trial(6, 0.6).model_dump(by_alias=True)
    diverged["status"] = {"milestones": [{"at": 9, "value": None, "outcome": "Diverged"}]}
    found = observed(new(start=LEARN), trials=[*trials, Trial.model_validate(diverged)])

    assert [each["lr"] for each in found.configurations] == [0.3, 0.1, 0.2, 0.6]
    assert found.failed == 1


def test_what_this_study_could_not_try_is_not_taken_for_something_that_it_could() -> None:
    narrow = new({"name": "lr", "float": {"min": 1e-4, "max": 0.25}}, WIDTH, start=LEARN)

    assert [each["lr"] for each in observed(narrow).configurations] == [0.1, 0.2]
    assert "values that cannot be taken here, left out: lr" in message(narrow)
    nowhere = new({"name": "lr", "float": {"min": 0.6, "max": 1.0}}, WIDTH, start=LEARN)
    reason, words = refusal(nowhere, earlier_study())
    assert reason == "NothingInCommon"
    assert "Use mode Configurations" in words
    assert refusal(new(start=LEARN), earlier_study(), [trial(0, 0.1)])[0] == "NothingFound"


def test_parameters_that_only_one_of_both_has_are_left_out() -> None:
    decay = {"name": "decay", "float": {"min": 0, "max": 1}}
    found = observed(new(LR, decay, start={**LEARN, "added": {"decay": 0.5}}))
    assert found.configurations[0] == {"lr": 0.3}


def test_however_many_there_are_few_are_stored_and_the_best_of_them() -> None:
    many = [trial(i, 0.001 + i / 1000, (9, float(i))) for i in range(900)]
    found = observed(new(start=LEARN), trials=many).configurations
    assert len(found) == OBSERVATIONS_MAX
    assert [each["lr"] for each in found[:60]] == [0.001 + i / 1000 for i in range(60)]
    assert found[-1]["lr"] > 0.85


def test_however_long_they_are_a_study_is_not_too_large_to_be_stored() -> None:
    text = "v" * 253
    long = [{"name": f"p{i}", "choice": {"values": [text]}} for i in range(8)]
    many = [
        trial(i, 0.5, (9, 1.0), parameters=[{"name": f"p{j}", "choice": text} for j in range(8)])
        for i in range(200)
    ]
    prior = begun(new(*long, start=LEARN), earlier_study(*long), many).status.prior
    assert prior is not None
    assert 20 < len(prior.observations[0].configurations) < OBSERVATIONS_MAX
    assert len(prior.model_dump_json()) < OBSERVATIONS_BYTES


# ---- the adaptive sampler


def quality(found: list[tuple[str, dict[str, Any]]]) -> float:
    return median(bowl(values) for kind, values in found if kind == "Model")


def drawn(share: float) -> float:
    """What this share of random configurations are better than."""
    values = sorted(bowl(uniform(test_adaptive.study().spec, i)) for i in range(200))
    return values[int(share * len(values))]


def test_a_third_of_the_first_trials_are_the_best_of_the_earlier_study() -> None:
    study = told(test_adaptive.study(), bowl)
    found = proposed(study, [], 15)

    assert [kind for kind, _ in found] == ["Random", "Random", "WarmStart"] * 5
    assert study.status.prior is not None
    best = study.status.prior.observations[0].configurations[:5]
    assert [values for kind, values in found if kind == "WarmStart"] == list(best)


def test_a_helpful_study_is_learned_from_while_there_are_few_values_of_ones_own() -> None:
    study = test_adaptive.study()
    few = seen(study, 16)

    assert quality(proposed(told(study, bowl), few, 30)) < quality(proposed(study, few, 30))


def test_a_misleading_study_is_forgotten() -> None:
    study = told(test_adaptive.study(), upside_down)

    assert quality(proposed(study, seen(study, 40))) < drawn(0.15)


def test_a_parameter_that_the_earlier_study_did_not_search_is_drawn_and_searched() -> None:
    study = told(test_adaptive.study(), bowl, names="yz")
    again = [values for kind, values in proposed(study, [], 15) if kind == "WarmStart"]
    model = [values for kind, values in proposed(study, seen(study, 40)) if kind == "Model"]

    assert len({values["x"] for values in again}) == 5
    assert median(bowl(values) for values in model) < drawn(0.15)


def test_the_same_follows_from_the_same_observations_remembered_or_not() -> None:
    study = told(test_adaptive.study(), bowl)
    trials = seen(study, 20)
    expected = proposed(study, trials, 6)
    earlier._lessons.cache_clear()

    assert proposed(study, random.Random(1).sample(trials, len(trials)), 6) == expected


def test_an_earlier_study_in_which_nearly_all_failed_is_no_trouble() -> None:
    study = told(test_adaptive.study(), bowl, count=9)
    prior = study.status.prior
    assert prior is not None
    failed = (prior.observations[0].model_copy(update={"failed": 8}),)
    prior = prior.model_copy(update={"observations": failed})
    study = study.model_copy(update={"status": study.status.model_copy(update={"prior": prior})})

    assert len(proposed(study, seen(study, 20))) == 20
    again = [values for kind, values in proposed(study, [], 15) if kind == "WarmStart"]
    assert again == [failed[0].configurations[0]]  # none that has failed


def test_of_several_earlier_studies_each_has_its_turn() -> None:
    study, other = told(test_adaptive.study(), bowl), told(test_adaptive.study(), upside_down)
    assert study.status.prior is not None
    assert other.status.prior is not None
    [one], [two] = study.status.prior.observations, other.status.prior.observations
    both = (one, two.model_copy(update={"study": "other"}))
    prior = study.status.prior.model_copy(update={"observations": both})
    study = study.model_copy(update={"status": study.status.model_copy(update={"prior": prior})})

    again = [values for kind, values in proposed(study, [], 15) if kind == "WarmStart"]
    first, second = one.configurations, two.configurations
    assert again == [first[0], second[0], first[1], second[1], first[2]]


# ---- trust


def _square(points: Any, places: Any) -> Any:
    return points[:, places]


@pytest.mark.parametrize(("sign", "least", "most"), [(1, 0.7, 1.5), (-1, 0.0, 0.05)])
def test_a_lesson_is_trusted_as_far_as_it_has_foretold_the_order(
    sign: int, least: float, most: float
) -> None:
    numbers = np.random.default_rng(0)
    points = numbers.random((60, 2))
    lesson = Lesson(_square, points[np.argsort(points[:, 0])], failed=0)
    own = numbers.random((24, 2))
    values = sign * (own[:, 0] - 0.5) * math.sqrt(12)
    after = Expectation([lesson], own, values, np.zeros(24))

    assert least <= after.trust[0] <= most


def test_that_longer_trainings_are_better_is_nothing_that_an_earlier_study_has_foretold() -> None:
    numbers = np.random.default_rng(0)
    points = numbers.random((60, 2))
    lesson = Lesson(_square, points[np.argsort(points[:, 0])], failed=0)
    own = numbers.random((40, 2))
    trained = (own[:, 0] < 0.5).astype(float)
    values = 1 - 2 * trained - 0.5 * (own[:, 0] - own[:, 0].round() / 2)

    assert Expectation([lesson], own, values, trained).trust[0] < 1
