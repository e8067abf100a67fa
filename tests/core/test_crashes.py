"""P3: the shell may die before any single write; the next one goes on as if nothing had happened.

A state machine drives a world (see `world`) through what users and machines do to it: time passes,
the shell dies at some write, wishes change. After each step every stored decision must be the one
that the slow oracle makes of the stored order, none may ever change, and nobody may be forgotten.
"""

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scaletune.api.record import Milestone
from scaletune.api.trial import TERMINAL, Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.policies.policy import policy_of
from tests import strategies
from tests.core import given, population
from tests.core.world import Crash, World, every_decision, wishes
from tests.oracles import asha

Records = list[asha.Record]


SEARCHED = [given.LEARNING_RATE, {"name": "width", "int": {"min": 1, "max": 512}}]


def records_of(world: World) -> Records:
    """All decided records that count, as the oracle has them."""
    sign = Frame.of(world.study).sign
    return [
        asha.Record(
            trial.index, made.at, made.number, None if made.value is None else sign * made.value
        )
        for trial in searched(world)
        for made in trial.status.milestones
        if made.decision not in (None, "Void")
    ]


def searched(world: World) -> list[Trial]:
    """The trials of the search, without trainings that confirm them."""
    return [trial for trial in world.trials.values() if trial.spec.role == "Search"]


def expected(world: World, records: Records, record: asha.Record) -> tuple[Any, ...]:
    """What the oracle decides on a record."""
    spec = world.study.spec.policy.asha
    top = policy_of(world.study, world.frame).levels[-1]
    eta, mode = (spec.eta, spec.mode) if spec else (2, "Stop")
    found = asha.judge(record, records, eta, top, mode)
    return found.word, found.n, found.rank, found.quota, found.against


def stored(made: Milestone) -> tuple[Any, ...]:
    """What is stored of a decision."""
    assert made.evidence is not None
    found = made.evidence
    return made.decision, found.n, found.rank, found.quota, found.against


def check_decisions(world: World) -> None:
    """Every stored decision is the oracle's, seen from its number."""
    records = records_of(world)
    for trial in searched(world):
        for made in trial.status.milestones:
            below = [m for m in trial.status.milestones if m.at < made.at and m.decision == "Stop"]
            if made.decision is None:
                continue
            if made.decision == "Void":
                assert below
                continue
            assert not below
            (record,) = [r for r in records if (r.trial, r.level) == (trial.index, made.at)]
            assert stored(made) == expected(world, records, record)
            if made.promotion:
                _check_promotion(world, records, record, made)


def _check_promotion(world: World, records: Records, record: asha.Record, made: Milestone) -> None:
    assert made.promotion is not None
    spec = world.study.spec.policy.asha
    assert spec is not None
    known = [r for r in records if r.number <= made.promotion.number]
    rung = asha.standing(known, record.level)
    evidence = made.promotion.evidence
    n, rank, quota = len(rung), rung.index(record), len(rung) // spec.eta
    assert (evidence.n, evidence.rank, evidence.quota) == (n, rank, quota)
    top = policy_of(world.study, world.frame).levels[-1]
    drained = not any(r.level == top and r.score is not None for r in known)
    assert record.score is not None
    assert rank < quota or drained


class Crashes(RuleBasedStateMachine):
    """Anything that may happen to a study."""

    @initialize(
        mode=st.sampled_from(["Promote", "Promote", "Stop", "Full", "Pbt", "Pbt"]),
        eta=st.integers(2, 3),
        parallelism=st.integers(1, 4),
        trials=st.integers(1, 10),
        goal=st.sampled_from(["Minimize", "Maximize"]),
        confirm=st.sampled_from([None, None, {"top": 2, "repeats": 2}]),
        seed=st.integers(0, 10**6),
        linger=st.sampled_from([0.0, 3.0]),
    )
    def begin(self, seed: int, linger: float, trials: int, **spec: Any) -> None:
        if spec["mode"] == "Pbt":
            spec["policy"] = {"pbt": {"population": 4, "interval": 1, "fixed": ["width"]}}
        study = given.study(most=9, budget={"trials": trials}, parameters=SEARCHED, **spec)
        self.world = World(study, seed, overshoot=seed % 3, linger=linger)
        self.decided: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.ended: dict[int, str | None] = {}
        self.places = study.spec.parallelism

    def plan(self, writes: float = math.inf) -> None:
        """One turn of the shell, which dies before the write after these."""
        self.world.writes_left = writes
        with suppress(Crash):
            self.world.turn()
        self.world.writes_left = math.inf

    @rule(writes=st.integers(0, 6))
    def die_between_two_writes(self, writes: int) -> None:
        self.plan(writes)

    @rule()
    def look_again(self) -> None:
        self.plan()

    @rule(steps=st.integers(1, 4), writes=st.one_of(st.just(math.inf), st.integers(0, 4)))
    def let_time_pass(self, steps: int, writes: float) -> None:
        for _ in range(steps):
            self.world.advance()
        self.plan(writes)

    @precondition(lambda self: self.world.running)
    @rule(data=st.data())
    def lose_a_node(self, data: st.DataObject) -> None:
        self.world.lose(data.draw(st.sampled_from(sorted(self.world.running))))

    @rule(state=st.sampled_from(["Paused", "Running"]))
    def wish(self, state: str) -> None:
        wishes(self.world, state=state)

    @rule(parallelism=st.integers(1, 4))
    def change_parallelism(self, parallelism: int) -> None:
        wishes(self.world, parallelism=parallelism)
        self.places = max(self.places, parallelism)

    @precondition(lambda self: len(self.world.trials) > 2)
    @rule(more=st.integers(0, 4))
    def raise_the_budget(self, more: int) -> None:
        trials = self.world.study.spec.budget.trials
        assert trials is not None
        wishes(self.world, budget={"trials": trials + more})

    @invariant()
    def decisions_are_the_oracles_and_stay(self) -> None:
        if not hasattr(self, "world"):
            return
        if self.world.frame.population:
            population.check(self.world)
        else:
            check_decisions(self.world)
        now = {e[:4]: e[4:] for e in every_decision(self.world.trials.values()) if e[4]}
        for key, made in self.decided.items():
            assert now[key] == made
        self.decided = now

    @invariant()
    def ends_are_for_ever(self) -> None:
        if not hasattr(self, "world"):
            return
        now = {t.index: t.status.state for t in self.world.trials.values()}
        for index, state in self.ended.items():
            assert now[index] == state
        self.ended = {index: state for index, state in now.items() if state in TERMINAL}

    @invariant()
    def numbers_and_places_are_respected(self) -> None:
        if not hasattr(self, "world"):
            return
        trials = list(self.world.trials.values())
        numbers = [m.number for t in trials for m in t.status.milestones]
        assert len(numbers) == len(set(numbers))
        limit = self.world.study.spec.budget.trials
        assert limit is not None
        search = searched(self.world)
        assert len(search) <= limit
        assert sorted(t.index for t in search) == list(range(len(search)))
        again = [(t.spec.candidate, t.spec.repeat) for t in trials if t.spec.role != "Search"]
        assert len(again) == len(set(again))
        held = Ledger.of(self.world.study, trials).shelf("holders")
        assert len(held) <= self.places

    def teardown(self) -> None:
        """Left alone, any study comes to its end."""
        if hasattr(self, "world"):
            wishes(self.world, state="Running")
            self.world.run()
            assert self.world.finished
            self.decisions_are_the_oracles_and_stay()
            self.the_best_are_confirmed()

    def the_best_are_confirmed(self) -> None:
        """Each of the best has all of its trainings, and one of them has won, if any can."""
        study, trials = self.world.study, self.world.trials.values()
        confirm, found = study.spec.confirm, study.status.confirmation
        if confirm is None or not any(t.spec.role == "Confirm" for t in trials):
            return
        assert found is not None
        standings = [each.standing for each in found.configurations]
        assert "Open" not in standings
        assert {each.trainings for each in found.configurations} == {confirm.repeats}
        assert standings[0] == "Winner" or found.configurations[0].mean is None


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=60, stateful_step_count=25)


def undisturbed(world: World) -> list[tuple[Any, ...]]:
    world.run()
    return every_decision(world.trials.values())


def crashing(world: World, every: int) -> list[tuple[Any, ...]]:
    """The same run with a shell that dies at each `every`-th write."""
    for _ in range(5000):
        world.writes_left = every
        try:
            world.turn()
        except Crash:
            continue
        if not world.advance():
            return every_decision(world.trials.values())
    raise AssertionError("the study does not come to its end")


@pytest.mark.parametrize("mode", strategies.EVERY)
@pytest.mark.parametrize("every", [1, 2, 3])
def test_with_one_place_a_run_that_crashes_equals_one_that_does_not(mode: str, every: int) -> None:
    for seed in range(8):
        confirm = {"top": 2, "repeats": 2} if seed % 2 else None
        study = given.study(mode=mode, parallelism=1, most=9, eta=2 + seed % 2, confirm=confirm)
        calm, shaken = World(study, seed, seed % 3), World(study, seed, seed % 3)

        assert crashing(shaken, every) == undisturbed(calm), f"seed {seed}"
        if mode == "Pbt":
            population.check(calm)
        assert _intents(shaken) == _intents(calm)


def _intents(world: World) -> list[tuple[Any, ...]]:
    def shown(trial: Trial) -> tuple[Any, ...]:
        return trial.index, trial.spec.until, trial.spec.state, trial.status.state

    return [shown(trial) for trial in world.trials.values()]


@pytest.mark.parametrize("parallelism", [2, 4], ids=["they wait", "they run on"])
@pytest.mark.parametrize("every", [2, 5])
def test_a_population_is_trained_as_its_lineage_says_wherever_the_shell_dies(
    parallelism: int, every: int
) -> None:
    pbt = {"population": 4, "interval": 1, "fraction": 0.5, "fixed": ["width"]}
    exploits = 0
    for seed in range(6):
        study = given.study(
            policy={"pbt": pbt}, parallelism=parallelism, most=6, parameters=SEARCHED
        )
        world = World(study, seed, overshoot=seed % 2, linger=2.0 * (seed % 3))

        crashing(world, every)

        population.check(world)
        exploits += sum(len(trial.status.exploits) for trial in world.trials.values())
    assert exploits > 10


@pytest.mark.parametrize("mode", strategies.MODES)
def test_a_schedule_is_kept_wherever_the_shell_dies(mode: str) -> None:
    changes = [{"after": 2, "values": {"width": 7}}, {"after": 5, "values": {"width": 9}}]
    for seed in range(6):
        study = given.study(mode=mode, parallelism=1, most=9, parameters=SEARCHED, schedule=changes)
        calm, shaken = (World(study, seed, seed % 3, linger=seed % 2) for _ in range(2))

        assert crashing(shaken, 2) == undisturbed(calm), f"seed {seed}"

        for trial in shaken.trials.values():
            population.check_past(shaken, trial)
        assert any(
            t.spec.schedule and t.status.state == "Completed" for t in shaken.trials.values()
        )
