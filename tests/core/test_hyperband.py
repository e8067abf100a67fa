"""Claims about Hyperband: the tables of its brackets, in numbers and in what they cost."""

import pytest

from scaletune.core.rungs import fractions, hyperband_sizes
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given
from tests.shells.simulate.drawn import CALM, even

# Of each bracket how many trials come to which milestone, and what that costs when only increments
# are trained.
TABLES: list[tuple[int, int, list[dict[int, int]], list[int]]] = [
    (
        81,
        3,
        [
            {1: 81, 3: 27, 9: 9, 27: 3, 81: 1},
            {3: 34, 9: 11, 27: 3, 81: 1},
            {9: 15, 27: 5, 81: 1},
            {27: 8, 81: 2},
            {81: 5},
        ],
        [297, 276, 279, 324, 405],
    ),
    (
        27,
        3,
        [{1: 27, 3: 9, 9: 3, 27: 1}, {3: 12, 9: 4, 27: 1}, {9: 6, 27: 2}, {27: 4}],
        [81, 78, 90, 108],
    ),
    (9, 3, [{1: 9, 3: 3, 9: 1}, {3: 5, 9: 1}, {9: 3}], [21, 21, 27]),
    (
        16,
        2,
        [
            {1: 16, 2: 8, 4: 4, 8: 2, 16: 1},
            {2: 10, 4: 5, 8: 2, 16: 1},
            {4: 7, 8: 3, 16: 1},
            {8: 5, 16: 2},
            {16: 5},
        ],
        [48, 46, 48, 56, 80],
    ),
]


@pytest.mark.parametrize(("most", "eta", "rungs", "costs"), TABLES, ids=["81", "27", "9", "16"])
@pytest.mark.parametrize("parallelism", [1, 16])
def test_the_tables_hold_whatever_the_places(
    most: int, eta: int, rungs: list[dict[int, int]], costs: list[int], parallelism: int
) -> None:
    trials = sum(next(iter(bracket.values())) for bracket in rungs)
    study = given.study(
        mode="hyperband", eta=eta, most=most, parallelism=parallelism, budget={"trials": trials}
    )
    shell = simulate(Setting(study, even, CALM), seed=0)
    found: list[dict[int, int]] = [{} for _ in rungs]
    spent = [0.0 for _ in rungs]
    for trial in shell.trials.values():
        spent[trial.spec.bracket] += trial.status.device_seconds
        for record in trial.status.milestones:
            bracket = found[trial.spec.bracket]
            bracket[record.at] = bracket.get(record.at, 0) + 1

    assert found == rungs
    assert spent == costs


def test_after_the_last_bracket_comes_the_first_again() -> None:
    study = given.study(mode="hyperband", eta=3, most=9, parallelism=4, budget={"trials": 17 + 12})
    shell = simulate(Setting(study, even, CALM), seed=0)
    sizes: dict[int, int] = {}
    for trial in shell.trials.values():
        sizes[trial.spec.bracket] = sizes.get(trial.spec.bracket, 0) + 1

    assert sizes == {0: 9, 1: 5, 2: 3, 3: 9, 4: 3}
    assert shell.finished


def test_what_begins_further_up_is_not_compared_below() -> None:
    study = given.study(mode="hyperband", eta=3, most=9, parallelism=4, budget={"trials": 17})
    shell = simulate(Setting(study, even, CALM), seed=0)

    assert all(
        min(record.at for record in trial.status.milestones) == (1, 3, 9)[trial.spec.bracket]
        for trial in shell.trials.values()
    )


@pytest.mark.parametrize(
    ("most", "eta", "trials", "cost"),
    [(81, 3, 143, 1902), (27, 3, 49, 423), (9, 3, 17, 78), (16, 2, 43, 372), (256, 4, 378, 6000)],
)
def test_a_round_costs_what_the_paper_counts_when_all_starts_from_scratch(
    most: int, eta: int, trials: int, cost: int
) -> None:
    levels = fractions(0, most, eta)
    sizes = hyperband_sizes(len(levels), eta)
    costs = [
        sum(size // eta**rung * level for rung, level in enumerate(levels[skipped:]))
        for skipped, size in enumerate(sizes)
    ]

    assert (sum(sizes), sum(costs)) == (trials, cost)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert max(costs) <= len(levels) * most * (1 + 1 / eta)
    assert max(costs) <= 2 * min(costs)
