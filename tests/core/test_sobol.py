"""Claims about the Sobol sampler: its points fill the space evenly."""

import pytest

from scaletune.core.ledger import Ledger
from scaletune.core.samplers import sobol
from scaletune.core.samplers.sampler import configuration
from tests.core import given


def test_the_first_points_are_those_of_the_literature() -> None:
    points = [[sobol.coordinate(d, n) / 2**sobol.BITS for d in range(3)] for n in range(4)]

    assert points == [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.75, 0.75], [0.75, 0.25, 0.25]]


@pytest.mark.parametrize("dimension", range(64))
def test_each_sixteenth_of_a_range_has_each_sixteenth_point(dimension: int) -> None:
    study = given.study(
        parameters=[{"name": f"p{i}", "float": {"min": 0, "max": 16}} for i in range(64)]
    )
    found = [float(sobol.point(study.spec, n)[f"p{dimension}"]) for n in range(64)]

    assert sorted(int(value) for value in found) == sorted([*range(16)] * 4)


def test_a_study_gets_one_point_after_the_other_whatever_was_seen() -> None:
    study = given.study(sampler={"sobol": {}}, initial=[{"learning_rate": 0.01}])
    empty = Ledger.of(study, ())
    trials = [given.trial(0, given.record(1, 0.5, 1, "Pause"))]
    first, second = (configuration(study, Ledger.of(study, given_), 1) for given_ in ((), trials))

    assert first == second
    assert first is not None
    assert first[1].kind == "Sobol"
    assert first != configuration(study, empty, 2)


def test_another_seed_moves_the_points() -> None:
    one, other = (given.study(sampler={"sobol": {}}, seed=seed) for seed in (0, 1))

    assert sobol.point(one.spec, 5) != sobol.point(other.spec, 5)
