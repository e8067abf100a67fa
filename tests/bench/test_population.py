"""Claims about the `pbt` suite: what counts is what was really trained, when it was."""

import math

import numpy as np
import pytest

from tests.bench import cells, population, schedules
from tests.bench.population import Objective, Stretch


def test_what_was_given_up_counts_until_its_trial_left() -> None:
    objective = Objective(schedules.Toy())
    left = 5.5 + (cells.RESUME + cells.PAUSE) * population.ONE
    objective.stretches = {
        1: [
            Stretch(0, 0.0, (1.0, 2.0), (0.9, 0.8)),
            Stretch(2, 2.0, (4.0, 6.0), (0.7, 0.6)),
            Stretch(2, left, (left + 1,), (0.5,)),
        ]
    }

    assert [score for _, score in objective.scored()] == [0.9, 0.8, 0.7, 0.5]


def test_the_noisy_quadratic_follows_its_recurrence() -> None:
    box, rate = schedules.NoisyQuadratic(), 0.3
    state = expected = box.begin(np.random.default_rng(0))
    for _ in range(box.steps):
        expected = (1 - rate * box.curvatures) ** 2 * expected
        expected = expected + rate**2 * box.curvatures * box.variance
    after, value = box.step(state, {"lr": rate}, np.random.default_rng(0))

    assert after == pytest.approx(expected)
    assert value == pytest.approx(box.score(after), rel=0.1)


def test_a_study_of_a_population_trains_better_than_its_best_constant() -> None:
    found = population.run(schedules.Toy(), {"policy": {"pbt": {}}}, seed=0)

    assert math.inf > found[25] >= found[50] >= found[100] < 0.01
