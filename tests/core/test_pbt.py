"""Claims about population based training: who gives up, and that nothing is lost by it."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from scaletune.api.action import Create, Exploit, Finish, LookAgain, Plan, Resume
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.lineage import lineage
from scaletune.core.plan import plan
from scaletune.core.policies.pbt import values_at
from scaletune.core.policies.policy import population_of
from scaletune.core.starts import decided, intended
from scaletune.shells.recorded import ledger_lines
from scaletune.shells.replay import Line, replay
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given

RATE = {"name": "rate", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}}
WIDTH = {"name": "width", "int": {"min": 8, "max": 512}}


def study(population: int, parallelism: int | None = None, **more: Any) -> Study:
    """A Study of PBT with milestones 1 to 4, and a place for each trial."""
    pbt = {"population": population, "interval": 1, **more.pop("pbt", {})}
    return given.study(
        policy={"pbt": pbt},
        parallelism=population if parallelism is None else parallelism,
        **{"budget": {"trials": population}, "parameters": [RATE, WIDTH], **more},
    )


def member(index: int, *values: float | None, decisions: Sequence[Any] = (), **more: Any) -> Trial:
    """A Trial with a record at each milestone so far, numbered in the order of milestone and
    index, and its last checkpoint there."""
    words = [*decisions, *[None] * len(values)]
    records = [
        given.record(at, value, 100 * at + index, words[at - 1])
        for at, value in enumerate(values, 1)
    ]
    checkpoint = {"incarnation": f"life-{index}", "step": len(values)} if values else None
    failed = any(value is None for value in values)
    failure = {"failure": {"kind": "Diverged"}, "state": "Failed"} if failed else {}
    status = {"state": "Running", "checkpoint": checkpoint, **failure, **more.pop("status", {})}
    made = given.trial(index, *records, **status, **more)
    parameters = [{"name": "rate", "float": 1e-3 * (index + 1)}, {"name": "width", "int": 64}]
    return Trial.model_validate(
        {
            **made.model_dump(by_alias=True),
            "spec": {**made.spec.to_yaml_fields(), "parameters": parameters},
        }
    )


def exploits(of: Study, trials: Sequence[Trial]) -> dict[int, int]:
    """Who goes on from whom by the plan."""
    found = plan(of, trials, given.NOW)
    return {a.trial: a.exploit.donor for a in found.actions if isinstance(a, Exploit)}


def waiting(*values: float | None) -> list[Trial]:
    """Trials that have all paused at their first milestone."""
    return [
        member(
            index,
            value,
            decisions=["Pause" if value is not None else "Stop"],
            until=1,
            status={"state": "Paused" if value is not None else "Failed"},
        )
        for index, value in enumerate(values)
    ]


def test_the_worst_fifth_goes_on_from_the_best_fifth() -> None:
    values = (0.5, 0.9, 0.1, 0.7, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4)
    found = exploits(
        study(10, goal="Maximize", pbt={"mode": "Sync", "fraction": 0.2}), waiting(*values)
    )

    assert found.keys() == {2, 7}
    assert set(found.values()) <= {1, 6}


def test_the_donor_is_drawn_from_the_best_in_their_order() -> None:
    values = (0.5, 0.9, 0.1, 0.7, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4)
    for seed in range(10):
        of = study(10, goal="Maximize", seed=seed, pbt={"mode": "Sync", "fraction": 0.2})
        u = random.Random(f"{seed}/2/exploit 1").random()

        assert exploits(of, waiting(*values))[2] == (1, 6)[math.floor(u * 2)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1.0, 1.0, 1.0, 1.0, 1.0), {4: 0}),  # ties go by the index
        ((0.1, 0.2, None, 0.3), {}),  # the one that failed is the worst; it has ended
        ((None, None, None, None), {}),
    ],
)
def test_ties_and_failures_have_their_place(
    values: tuple[float | None, ...], expected: dict[int, int]
) -> None:
    of = study(len(values), pbt={"mode": "Sync"}, budget={"trials": len(values)})

    assert exploits(of, waiting(*values)) == expected


def test_a_trial_that_runs_on_is_decided_once_half_of_the_population_has_come() -> None:
    of = study(8, goal="Maximize", pbt={"fraction": 0.2})
    trials = [member(index, value) for index, value in enumerate((0.3, 0.5, 0.1, 0.05))]
    trials += [member(index) for index in range(4, 8)]
    found = plan(of, trials, given.NOW)

    assert given.words(found) == [(i, 1, w) for i, w in enumerate(["Continue"] * 3 + ["Exploit"])]
    assert found.decisions[3].evidence.against == 1
    later = [*stored(trials, found)[:4], member(4, 0.9), *trials[5:]]
    assert given.words(plan(of, later, given.NOW)) == [(4, 1, "Continue")]


def stored(trials: Sequence[Trial], made: Plan) -> list[Trial]:
    """The trials with the decisions and intents of a plan."""
    after = {each.index: each for each in trials}
    for decision in made.decisions:
        after[decision.trial] = decided(after[decision.trial], decision)
    for action in made.actions:
        assert isinstance(action, Exploit)
        after[action.trial] = intended(after[action.trial], action)
    return list(after.values())


def test_the_worst_of_those_that_ran_on_before_half_had_come_give_up_then() -> None:
    of = study(8, goal="Maximize")
    trials = [member(index, value) for index, value in enumerate((0.1, 0.5, 0.05))]
    trials += [member(index) for index in range(3, 8)]
    early = stored(trials, plan(of, trials, given.NOW))
    assert not [each for each in early if each.status.exploits]

    fourth = [*early[:3], member(3, 0.4), *early[4:]]
    made = plan(of, fourth, given.NOW)
    # Two of four give up; one decides itself at its milestone, these two had gone on from it.
    assert given.words(made) == [(3, 1, "Continue"), (2, 1, "Exploit"), (0, 1, "Exploit")]
    assert {a.trial: a.exploit.at for a in made.actions if isinstance(a, Exploit)} == {2: 1, 0: 1}
    assert plan(of, stored(fourth, made), given.NOW).actions == ()


def test_whoever_has_reached_the_next_milestone_gives_up_nothing_for_the_one_before() -> None:
    of = study(8, goal="Maximize")
    trials = [member(index, value) for index, value in enumerate((0.1, 0.5, 0.05))]
    trials[2] = member(2, 0.05, 0.06)
    trials += [member(index) for index in range(3, 8)]
    early = stored(trials, plan(of, trials, given.NOW))

    made = plan(of, [*early[:3], member(3, 0.4), *early[4:]], given.NOW)
    assert given.words(made) == [(3, 1, "Continue"), (0, 1, "Exploit")]


def test_nobody_goes_on_from_a_checkpoint_that_is_not_there() -> None:
    trials = [member(index, 0.1 * index, status={"checkpoint": None}) for index in range(4)]

    assert given.words(plan(study(4), trials, given.NOW)) == [(i, 1, "Continue") for i in range(4)]


def test_who_waits_goes_on_only_when_the_better_one_has_left_with_its_checkpoint() -> None:
    of = study(2, pbt={"mode": "Sync"})
    worse, better = waiting(0.9, 0.1)
    leaving = member(1, 0.1, decisions=["Pause"], until=1, status={"checkpoint": None})

    def moved(trials: Sequence[Trial]) -> list[tuple[str, int]]:
        made = plan(of, trials, given.NOW).actions
        return [(type(a).__name__, a.trial) for a in made if not isinstance(a, Finish | LookAgain)]

    assert moved([worse, leaving]) == [("Resume", 1)]
    going_on = member(1, 0.1, decisions=["Pause"], until=2, status={"checkpoint": None})
    assert moved([worse, going_on]) == []
    assert moved([worse, better]) == [("Resume", 1), ("Exploit", 0)]
    gone = member(
        1, 0.1, decisions=["Pause"], until=1, status={"state": "Paused", "checkpoint": None}
    )
    assert moved([worse, gone]) == [("Resume", 1), ("Resume", 0)]


def test_whoever_goes_on_takes_the_donors_values_of_that_milestone() -> None:
    of = study(4, pbt={"resample": 0, "fixed": ["width"]})
    donor = member(0, 0.0, 0.0, decisions=["Continue", "Continue"])
    taken = {"at": 1, "donor": 3, "checkpoint": {"incarnation": "x", "step": 1, "trial": 3}}
    later = [{**taken, "parameters": [{"name": "rate", "float": 0.05}]}]
    donor = Trial.model_validate(
        {
            **donor.model_dump(by_alias=True),
            "status": {**donor.status.to_yaml_fields(), "exploits": later},
        }
    )

    assert given.values(values_at(donor, 1))["rate"] == 1e-3
    assert given.values(values_at(donor, 2))["rate"] == 0.05
    ledger = Ledger.of(of, [member(0, 0.0), member(1, 1.0)])
    population = population_of(of, Frame.of(of))
    assert population is not None
    found = population.exploit(ledger, ledger.trial(1), 1, donor=0)
    assert given.values(found.parameters)["rate"] in (pytest.approx(5e-4), pytest.approx(2e-3))
    assert given.values(found.parameters)["width"] == 64
    assert (found.checkpoint.trial, found.checkpoint.incarnation) == (0, "life-0")


def test_a_decision_that_is_stored_without_its_intent_is_carried_out_by_the_next_plan() -> None:
    of = study(4)
    trials = [member(index, 0.1 * index) for index in range(4)]
    first = plan(of, trials, given.NOW)
    stored = [decided(trials[made.trial], made) for made in first.decisions]
    second = plan(of, stored, given.NOW)

    assert [a for a in first.actions if isinstance(a, Exploit)]
    assert second.actions == first.actions
    for action in second.actions:
        assert isinstance(action, Exploit)
        stored[action.trial] = intended(stored[action.trial], action)
    assert plan(of, stored, given.NOW).actions == ()


def test_with_few_places_the_one_with_the_fewest_milestones_runs_next() -> None:
    of = study(4, parallelism=2)
    trials = waiting(0.1, 0.2, 0.3)
    created = plan(of, trials, given.NOW).actions
    assert [type(each) for each in created] == [Create]  # the fourth, before anybody goes on

    found = plan(of, waiting(0.1, 0.2, 0.3, 0.4), given.NOW).actions
    assert [(each.trial, each.until) for each in found if isinstance(each, Resume)] == [
        (0, 2),
        (1, 2),
    ]


def test_a_failed_one_is_replaced_by_a_child_of_one_of_the_best() -> None:
    of = study(4, budget={"trials": 5}, status={"created": 4})
    trials = [
        member(0, 0.1, decisions=["Continue"]),
        member(1, 0.2, decisions=["Continue"]),
        member(2, None, decisions=["Stop"]),
        member(3, 0.3, decisions=["Continue"]),
    ]
    [action] = plan(of, trials, given.NOW).actions

    assert isinstance(action, Create)
    parent = action.spec.parent
    assert parent is not None
    assert (parent.trial, parent.step, parent.incarnation) == (0, 1, "life-0")
    assert action.spec.origin is not None
    assert action.spec.origin.kind == "Child"


def test_a_failed_one_is_replaced_where_half_of_the_population_is_already() -> None:
    of = study(4, budget={"trials": 5}, status={"created": 4})
    trials = [
        member(0, 0.2, 0.1, decisions=["Continue", "Continue"]),
        member(1, 0.1, 0.2, decisions=["Continue", "Continue"]),
        member(2, None, decisions=["Stop"]),
        member(3),  # is far behind
    ]
    found = plan(of, trials, given.NOW).actions

    [action] = [each for each in found if isinstance(each, Create)]
    parent = action.spec.parent
    assert parent is not None
    assert (parent.trial, parent.step) == (0, 2)


def test_before_half_of_the_population_has_come_a_failed_one_makes_room_for_a_new_one() -> None:
    of = study(5, budget={"trials": 6}, status={"created": 5})
    here = member(0, 0.2, decisions=["Continue"])
    trials = [here, member(1, None, decisions=["Stop"]), member(2), member(3), member(4)]
    [action] = plan(of, trials, given.NOW).actions

    assert isinstance(action, Create)
    assert action.spec.parent is None


def trained(
    parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """The nearer the rate is to a falling one the better; a part diverges. Its state is what it
    has seen: (step, rate) of each segment."""
    before = list(state or [])
    chance = random.Random(f"{seed}/{start}/{parameters['rate']}")
    best = 1e-1 * 0.5**start
    value = sum(abs(math.log(rate / (1e-1 * 0.5**at))) for at, rate in before)
    value += abs(math.log(parameters["rate"] / best))
    if chance.random() < 0.03:
        value = math.nan
    seconds = (until - start) * chance.uniform(0.7, 1.5)
    return {"value": value, "seconds": seconds, "state": [*before, (start, parameters["rate"])]}


def simulated(seed: int) -> Shell:
    """A study of some shape; some lose nodes, or hear late."""
    shape = random.Random(seed)
    population = shape.choice([2, 4, 8])
    of = study(
        population,
        parallelism=shape.choice([1, 3, population]),
        goal=shape.choice(["Minimize", "Maximize"]),
        budget={"trials": population + shape.choice([0, 5])},
        pbt={
            "fraction": shape.choice([0, 0.2, 0.5]),
            "mode": shape.choice(["Async", "Sync"]),
            "explore": shape.choice(["perturb", "perturb", "pb2"]),
        },
        sampler={"random": {}},
    )
    failures = Failures(6.0, 1.0) if shape.random() < 0.5 else Failures()
    late = shape.choice([0.0, 0.0, 0.3])
    where = Circumstances(Overhead(0.1, 0.1, 0.05), failures, late_seconds=late)
    return simulate(Setting(of, trained, where), seed)


@pytest.mark.parametrize("seed", range(60))
def test_every_study_ends_with_a_lineage_whose_weights_and_values_agree(seed: int) -> None:
    shell = simulated(seed)

    assert shell.finished
    assert all(trial.status.state in ("Completed", "Failed") for trial in shell.trials.values())
    for trial in shell.trials.values():
        # What it has really trained with, segment by segment, is what its lineage says.
        seen: Any = shell.world.state_of(trial.index)
        pieces = lineage(shell.trials.get, trial)
        told = [
            (start, piece.used["rate"])
            for piece in pieces
            for start in range(piece.start, piece.until)
        ]
        if trial.status.failure is None:
            assert seen == told
    for trial in shell.trials.values():
        for taken in trial.status.exploits:
            donor = shell.trials[taken.donor]
            assert donor.index != trial.index
            record = next(each for each in donor.status.milestones if each.at == taken.at)
            assert record.value is not None


@pytest.mark.parametrize("seed", range(20))
def test_a_run_replays_to_its_own_decisions(seed: int) -> None:
    shell = simulated(seed)
    told = [(d.number, d.trial, d.milestone, d.decision, d.evidence) for d in shell.decisions]
    size = Frame.of(shell.study).population
    for lines in (shell.lines, ledger_lines(list(shell.trials.values()), size)):
        found = replay(shell.study, [Line.model_validate(line) for line in lines])

        again = [(d.number, d.trial, d.milestone, d.decision, d.evidence) for d in found]
        assert sorted(map(str, again)) == sorted(map(str, told))
