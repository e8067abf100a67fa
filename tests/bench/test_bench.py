"""Claims about the benchmark itself: what it measures is what was reported, and when."""

import math
from typing import Any

import numpy as np
import pytest

from scaletune.core.samplers.draws import uniform
from tests.bench import cells, centers, latency, pareto, report, suites
from tests.bench.boxes import Box, Facts, Floats, Values

RANDOM: dict[str, Any] = {"policy": {"asha": {}}, "sampler": {"random": {}}}


class Steady:
    """Trainings that all take a second a unit, and end at x."""

    name, units, facts = "steady", 9, Facts(best=0.0, median=0.5, mean_seconds=9.0)
    parameters: tuple[dict[str, Any], ...] = ({"name": "x", "float": {"min": 0.0, "max": 1.0}},)

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        units = np.arange(1, 10)
        return values["x"] + 9.0 - units, units.astype(float)


def open_box(name: str) -> Box:
    return next(iter(suites.boxes(suites.Suite((name,)), suites.DATA)))


def test_every_unit_counts_when_it_was_reported() -> None:
    one = cells.Cell(Steady(), {"sampler": {"random": {}}}, seed=0, workers=1, trainings=1.0)
    shell = cells.run(one).shell
    seen = sorted(cells._values(one, shell))
    second = one.stretch

    assert [round(at / second, 6) for at, _, _ in seen] == [0.18 + unit for unit in range(1, 9)]


def test_the_same_cell_gives_the_same_regrets() -> None:
    cell = cells.Cell(open_box("alexnet_imagenet"), RANDOM, seed=3, trainings=1.0)

    assert cells.run(cell).regrets == cells.run(cell).regrets


@pytest.mark.parametrize("name", ["alexnet_imagenet", "lcbench_3945"])
def test_an_open_box_has_as_many_values_as_it_was_trained_units(name: str) -> None:
    box = open_box(name)
    study = cells.study(cells.Cell(box, RANDOM, seed=0))
    found, seconds = box.curve(uniform(study.spec, 0), 0)

    assert len(found) <= len(seconds) <= box.units
    assert (np.diff(seconds) >= 0).all()
    assert np.isfinite(found).all()


def test_ties_share_a_rank_and_small_regrets_count_as_the_floor() -> None:
    def figures(regret: float) -> report.Figures:
        return dict.fromkeys(report.FLOORS, regret)

    rows = {name: {("box", 0): figures(r)} for name, r in (("a", 0.0), ("b", 0.0), ("c", 0.3))}

    assert [line[1] for line in report.table(rows)] == ["1.50 ± 0.00", "1.50 ± 0.00", "3.00 ± 0.00"]
    assert [line[-1] for line in report.table(rows)] == ["0.0100", "0.0100", "0.3000"]


def test_regret_beside_another_row_is_paired() -> None:
    def figures(*regrets: float) -> dict[report.Pair, report.Figures]:
        return {("box", s): dict.fromkeys(report.FLOORS, r) for s, r in enumerate(regrets)}

    rows = {"a": figures(0.1, 0.5), "random": figures(0.2, 0.6)}

    assert report.against(rows, "random", "r100")[1] == ["a", "-0.100 ± 0.000"]


def test_regret_as_a_multiple_of_another_rows_is_of_means_and_paired() -> None:
    def of(*regrets: float) -> dict[tuple[str, int], dict[str, float]]:
        return {("a", i): dict.fromkeys(report.FLOORS, r) for i, r in enumerate(regrets)}

    rows = {"one": of(0.1, 0.4), "other": of(0.2, 0.2)}

    assert report.times(rows, "one")[1][1] == "0.80 (1.00, × or ÷ 2.00)"


def test_a_guess_is_as_good_as_it_says_and_other_seeds_guess_otherwise() -> None:
    box, best, worst = Steady(), centers.Guess("", 0.0), centers.Guess("", 1.0)
    spec = cells.study(cells.Cell(box, RANDOM, seed=0)).spec

    def guessed(guess: centers.Guess, seed: int) -> float:
        [(_, there)] = centers.centered(box, spec, [guess], seed)
        found: float = there.parameters[0]["float"]["center"]
        return found

    assert 0 <= guessed(best, 0) < 0.02 < 0.98 < guessed(worst, 0) < 1
    assert 0.85 < guessed(centers.Guess("", 0.9), 0) < 0.95
    assert guessed(best, 1) != guessed(best, 0)
    beside = guessed(centers.Guess("", 0.5, 0.01), 0)
    assert 0 < abs(beside - guessed(centers.Guess("", 0.5), 0)) < 0.05


def test_hypervolume_is_the_area_between_the_front_and_the_worst_that_counts() -> None:
    half = math.sqrt(pareto.LEAST * pareto.LARGEST)
    points = [(pareto.LEAST, 3.0), (half, 2.0), (half * 2, 2.5), (1.0, 3.7), (half, math.inf)]

    assert pareto.hypervolume(points) == pytest.approx(1.1)


def test_a_study_on_the_law_has_a_front_at_each_cost() -> None:
    found = pareto.run({"sampler": {"random": {}}}, seed=1)

    assert 0.2 < found["hv6"] <= found["hv12"] <= found["hv24"] < 0.5942


@pytest.mark.parametrize("name", latency.POLICIES)
def test_latencies_are_of_a_study_in_the_middle_of_its_life(name: str) -> None:
    assert latency.answers(name, trials=80)[:2] == [name, "80"]
