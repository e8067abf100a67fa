"""Claims about the Ledger: it is an index of its trials and nothing more."""

import random

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.core.ledger import Ledger
from tests import strategies
from tests.core import given
from tests.oracles import ledger as naive

Snapshot = tuple[Study, list[Trial]]


@any_of(strategies.snapshots(), strategies.snapshots(), st.integers(0, 1000))
def test_any_order_of_replaces_gives_what_of_gives(
    one: Snapshot, other: Snapshot, seed: int
) -> None:
    study, before = one
    after = {trial.index: trial for trial in other[1]}
    old = {trial.index: trial for trial in before}
    order = sorted(old.keys() | after.keys())
    random.Random(seed).shuffle(order)
    ledger = Ledger.of(study, before)
    for index in order:
        if index in old or index in after:
            ledger = ledger.replace(old.get(index), after.get(index))

    assert ledger == Ledger.of(study, after.values())


@any_of(strategies.snapshots())
def test_replacing_a_trial_by_itself_changes_nothing(snapshot: Snapshot) -> None:
    study, trials = snapshot
    ledger = Ledger.of(study, trials)
    for trial in trials:
        copy = Trial.model_validate(trial.model_dump(by_alias=True))
        assert ledger.replace(trial, copy) == ledger


@any_of(strategies.snapshots())
def test_its_rungs_and_its_best_are_the_naive_ones(snapshot: Snapshot) -> None:
    study, trials = snapshot
    ledger = Ledger.of(study, trials)
    # Records that wait for their decision are on no rung yet.
    decided = [
        given.changed(
            trial, milestones=tuple(m for m in trial.status.milestones if m.decision is not None)
        )
        for trial in trials
        if trial.spec.role == "Search"  # who confirms competes with nobody
    ]
    for level in ledger.frame.levels:
        found = [key[-1] for key, _ in ledger.shelf(("rung", level)).entries()]
        assert found == naive.rung(study, decided, level)
    levels = set(ledger.frame.levels)
    on_levels = [
        given.changed(trial, milestones=tuple(m for m in trial.status.milestones if m.at in levels))
        for trial in decided
    ]
    best = ledger.best()
    assert (best and (best[0].index, best[1].at)) == naive.best(study, on_levels)


@any_of(strategies.snapshots())
def test_nobody_who_has_ended_holds_a_place_or_waits(snapshot: Snapshot) -> None:
    ledger = Ledger.of(*snapshot)
    ended = {trial.index for trial in snapshot[1] if ledger.frame.state(trial) in TERMINAL}
    for shelves in ledger.shelves.values():
        for name, shelf in shelves.items():
            if name in ("holders", "interrupted", "unstopped", "owed") or name[0] == "waiting":
                assert not ended & {key[-1] for key, _ in shelf.entries()}


def test_a_rung_is_seen_as_it_was_at_a_number() -> None:
    study = given.study(mode="Stop")
    trials = [given.trial(i, given.record(1, 0.1 * i, i + 1, "Continue")) for i in range(5)]
    ledger = Ledger.of(study, trials)

    def seen(level: int, number: int) -> list[int]:
        newcomer = given.trial(9)
        rung, _ = ledger.rung_with(newcomer, given.record(level, 9.0, number))
        return [rung.at(rank)[0][-1] for rank in range(len(rung))]

    assert seen(1, 3) == [0, 1, 2, 9]
    assert seen(1, 99) == [0, 1, 2, 3, 4, 9]
    assert seen(2, 99) == [9]


def test_sums_do_not_depend_on_the_order_of_changes() -> None:
    study = given.study()
    trials = [given.trial(i, device_seconds=0.1 * 3**i) for i in range(12)]
    ledger = Ledger.of(study, [])
    for trial in reversed(trials):
        ledger = ledger.replace(None, trial)

    assert ledger.spent_seconds == Ledger.of(study, trials).spent_seconds


def test_two_trials_with_one_index_are_refused() -> None:
    with pytest.raises(ValueError, match="two Trials of the study have index 3"):
        Ledger.of(given.study(), [given.trial(3), given.trial(3)])


def test_both_zeros_are_one_value() -> None:
    study = given.study(mode="Stop", goal="Maximize")
    tied = [
        given.trial(i, given.record(1, v, i + 1, "Continue")) for i, v in enumerate([0.0, -0.0])
    ]
    ledger = Ledger.of(study, tied)

    assert [key[-1] for key, _ in ledger.shelf(("rung", 1)).entries()] == [0, 1]
