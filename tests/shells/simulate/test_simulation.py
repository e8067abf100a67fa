"""Claims about simulated studies: their time, their costs, their faults, and their decisions."""

import json
import math
from typing import Any

import pytest

from scaletune.api.trial import TERMINAL
from scaletune.core.ledger import Ledger
from scaletune.shells.replay import read_lines, replay
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.objectives import ObjectiveError
from scaletune.shells.simulate.outcome import ordered, outcome
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, begin, simulate, turns
from scaletune.shells.simulate.world import Hopeless
from tests import strategies
from tests.core import given
from tests.core.world import every_decision
from tests.shells.simulate import drawn
from tests.shells.simulate.drawn import CALM, even


def simulated(where: Circumstances = CALM, objective: Any = even, **spec: Any) -> Shell:
    return simulate(Setting(given.study(**spec), objective, where), seed=0)


def spent(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = outcome(shell)["spent"]
    return found


# ---- decisions


@pytest.mark.parametrize("block", range(10))
def test_the_ledger_of_a_simulation_replays_to_its_decisions(block: int) -> None:
    for number in range(block * 30, block * 30 + 30):
        setting = drawn.setting(number)
        shell = simulate(setting, seed=number)
        lines = read_lines("\n".join(map(json.dumps, shell.lines)))

        assert shell.finished, f"number {number}"
        assert replay(setting.study, lines) == ordered(shell.decisions), f"number {number}"


@pytest.mark.parametrize("mode", strategies.GROUPED)
def test_the_ledger_of_a_simulation_in_brackets_replays_too(mode: str) -> None:
    for number in range(60):
        setting = drawn.setting(number, mode)
        shell = simulate(setting, seed=number)
        lines = read_lines("\n".join(map(json.dumps, shell.lines)))

        assert shell.finished, f"number {number}"
        assert replay(setting.study, lines) == ordered(shell.decisions), f"number {number}"
        assert shell.ledger == Ledger.of(shell.study, shell.trials.values())


def test_what_is_decided_is_stored_and_the_ledger_is_that_of_the_stored_trials() -> None:
    for number in range(40):
        shell = simulate(drawn.setting(number), seed=number)
        stored = [each[:5] for each in every_decision(shell.trials.values())]

        assert stored == sorted(
            (
                made.number,
                int(made.decision == "Promote"),
                made.trial,
                made.milestone,
                made.decision,
            )
            for made in shell.decisions
        ), f"number {number}"
        assert shell.ledger == Ledger.of(shell.study, shell.trials.values()), f"number {number}"


def test_at_every_turn_no_more_trials_hold_a_place_than_there_are() -> None:
    for number in range(40):
        shell = begin(drawn.setting(number), seed=number)
        for _ in turns(shell):
            assert len(shell.ledger.shelf("holders")) <= shell.study.spec.parallelism
            assert shell.world.running <= shell.study.spec.parallelism


def test_at_the_end_no_trial_is_left_running() -> None:
    for number in range(40):
        shell = simulate(drawn.setting(number), seed=number)
        states = {trial.status.state for trial in shell.trials.values()}

        assert states <= TERMINAL | {"Paused"}, f"number {number}"


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    def trace(seed: int) -> dict[str, Any]:
        found = outcome(simulate(drawn.setting(4), seed))
        return {name: value for name, value in found.items() if name != "planMilliseconds"}

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_the_order_of_arrival_does_not_depend_on_workers_when_there_is_one_rung() -> None:
    few, many = simulated(mode="Full", parallelism=1), simulated(mode="Full", parallelism=8)

    assert outcome(few)["best"] == outcome(many)["best"]


# ---- time and costs


def test_a_study_that_is_paused_is_simulated_as_if_it_ran() -> None:
    assert spent(simulated(state="Paused")) == spent(simulated())


def test_one_place_trains_one_after_the_other() -> None:
    found = spent(simulated(mode="Full", most=10, parallelism=1, budget={"trials": 3}))

    assert found["wallSeconds"] == found["deviceSeconds"] == 30
    assert (found["trials"], found["fullTrainings"], found["idleFraction"]) == (3, 3, 0)


def test_places_train_at_the_same_time_and_devices_are_counted_each() -> None:
    template = {"pod": {}, "nodes": 2, "processesPerNode": 2}
    found = spent(
        simulated(mode="Full", most=10, parallelism=3, budget={"trials": 4}, template=template)
    )

    assert found["wallSeconds"] == 20
    assert found["deviceSeconds"] == 4 * 10 * 4
    assert found["idleFraction"] == pytest.approx(1 / 3)
    assert found["idleFractionWhileCreating"] == 0


def test_a_paused_trial_resumes_from_its_checkpoint_and_pays_its_overheads() -> None:
    where = Circumstances(Overhead(start=100, resume=10, pause=1))
    found = spent(simulated(where, most=2, parallelism=1, budget={"trials": 2}))

    # Two trials to step 1, then the better one from there to step 2.
    assert found["deviceSeconds"] == 2 * (100 + 1 + 1) + (10 + 1)
    assert found["wallSeconds"] == found["deviceSeconds"]


def test_the_objective_is_called_once_for_each_segment_whatever_fails() -> None:
    calls: list[tuple[int, int, int]] = []

    def counted(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        calls.append((seed, start, until))
        assert state == (None if start == 0 else f"{seed} at {start}")
        value = parameters["learning_rate"]
        return {"value": value, "seconds": until - start, "state": f"{seed} at {until}"}

    where = Circumstances(failures=Failures(mtbf=5, repair=1))
    shell = simulated(where, counted, most=9, parallelism=2, budget={"trials": 20})

    assert (
        len(calls)
        == len(set(calls))
        == len(shell.decisions) - sum(made.decision == "Promote" for made in shell.decisions)
    )


def test_a_trial_that_is_stopped_trains_no_further() -> None:
    untils: list[int] = []

    def noted(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        untils.append(until)
        return even(parameters, start, until, seed)

    shell = simulated(objective=noted, mode="Stop", most=9)

    assert len(untils) == len(shell.decisions)


def test_a_failed_node_costs_the_unfinished_unit_and_changes_no_value() -> None:
    def values(shell: Shell) -> dict[tuple[int, int], float | None]:
        return {
            (trial.index, record.at): record.value
            for trial in shell.trials.values()
            for record in trial.status.milestones
        }

    spec: dict[str, Any] = {"mode": "Full", "most": 10, "parallelism": 3, "budget": {"trials": 9}}
    calm = simulated(**spec)
    failing = simulated(Circumstances(failures=Failures(mtbf=20, repair=5)), **spec)
    attempts = [trial.status.attempts[-1].number for trial in failing.trials.values()]
    causes = {each.cause for trial in failing.trials.values() for each in trial.status.attempts}

    assert values(failing) == values(calm)
    assert max(attempts) > 1
    assert causes == {"Disrupted", "Done"}
    assert spent(failing)["deviceSeconds"] > spent(calm)["deviceSeconds"]
    assert spent(failing)["wallSeconds"] > spent(calm)["wallSeconds"]


def test_with_checkpoints_between_milestones_a_failed_node_costs_what_came_after_the_last() -> None:
    def spent_with(checkpoint: int) -> float:
        failures = Failures(mtbf=20, repair=5, checkpoint=checkpoint)
        shell = simulated(Circumstances(failures=failures), **spec)
        assert [trial.status.milestones[0].value for trial in shell.trials.values()] == values
        assert len(shell.decisions) == 9
        return float(spent(shell)["deviceSeconds"])

    spec: dict[str, Any] = {"mode": "Full", "most": 20, "parallelism": 1, "budget": {"trials": 9}}
    calm = simulated(**spec)
    values = [trial.status.milestones[0].value for trial in calm.trials.values()]

    assert 9 * 20 < spent_with(1) < spent_with(7) < spent_with(0)
    assert spent_with(20) == spent_with(0)


def test_a_trainer_goes_on_from_the_latest_checkpoint_of_the_node_it_lost() -> None:
    spec: dict[str, Any] = {"mode": "Full", "most": 20, "parallelism": 2, "budget": {"trials": 9}}
    failures = Failures(mtbf=20, repair=0, checkpoint=3)
    shell = simulated(Circumstances(failures=failures), **spec)
    restored = [
        attempt.restored.step
        for trial in shell.trials.values()
        for attempt in trial.status.attempts
        if attempt.restored is not None
    ]

    assert all(0 < step < 20 and step % 3 == 0 for step in restored)


def test_a_milestone_that_no_node_lives_to_see_is_said_to_be_hopeless() -> None:
    with pytest.raises(Hopeless, match="lost its node"):
        simulated(Circumstances(failures=Failures(mtbf=1e-3)), most=1000, least=500)


def test_late_and_lost_reports_are_heard_in_the_end() -> None:
    spec: dict[str, Any] = {"mode": "Full", "most": 10, "parallelism": 3, "budget": {"trials": 9}}
    calm = simulated(**spec)
    late = simulated(Circumstances(late_seconds=5, lost=0.5), **spec)

    assert outcome(late)["best"] == outcome(calm)["best"]
    assert spent(late)["deviceSeconds"] == spent(calm)["deviceSeconds"]
    assert spent(late)["wallSeconds"] > spent(calm)["wallSeconds"]


def test_whoever_is_heard_late_is_stopped_late_and_what_it_reported_since_is_void() -> None:
    spec: dict[str, Any] = {"mode": "Stop", "most": 27, "eta": 3, "budget": {"trials": 40}}
    calm = simulated(**spec)
    late = simulated(Circumstances(late_seconds=20), **spec)

    assert spent(late)["deviceSeconds"] > spent(calm)["deviceSeconds"]
    assert "Void" in {made.decision for made in late.decisions}


# ---- budgets


@pytest.mark.parametrize("mode", ["Promote", "Stop", "Full"])
def test_gpu_hours_are_used_and_not_overdrawn(mode: str) -> None:
    template = {"pod": {}, "processesPerNode": 2}
    hours = 0.05
    shell = simulated(
        mode=mode, most=27, parallelism=3, budget={"gpuHours": hours}, template=template
    )
    seconds = spent(shell)["deviceSeconds"]

    assert outcome(shell)["cause"] == "BudgetExhausted"
    assert 0.6 * hours * 3600 < seconds <= hours * 3600 + 0.01


def test_in_any_weather_gpu_hours_are_overdrawn_by_leaving_at_most() -> None:
    for number in range(80):
        study, where = drawn.study(number), drawn.circumstances(number)
        budget = study.spec.budget.model_copy(update={"gpu_hours": 0.02, "trials": None})
        spec = study.spec.model_copy(update={"budget": budget})
        setting = Setting(study.model_copy(update={"spec": spec}), drawn.unruly, where)
        shell = simulate(setting, seed=number)
        seconds = spent(shell)["deviceSeconds"]

        assert shell.finished, f"number {number}"
        leaving = spec.parallelism * (where.overhead.pause + 0.01)
        assert seconds <= 72 + leaving, f"number {number}"
        assert seconds == pytest.approx(shell.world.busy_seconds), f"number {number}"


def test_trainers_that_run_when_gpu_hours_are_used_up_are_paused() -> None:
    def long(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        return {"value": 1.0, "seconds": 1 if start == 0 else 1000}

    where = Circumstances(Overhead(pause=7))
    shell = simulated(where, long, mode="Stop", budget={"gpuHours": 0.1}, parallelism=2)
    causes = {each.cause for trial in shell.trials.values() for each in trial.status.attempts}

    assert "Paused" in causes
    assert spent(shell)["deviceSeconds"] == pytest.approx(360 + 7, abs=0.01)


def test_the_duration_ends_the_study_to_the_second() -> None:
    shell = simulated(mode="Full", most=10, budget={"duration": "25s"}, parallelism=1)
    found = outcome(shell)

    assert found["spent"]["wallSeconds"] == found["spent"]["deviceSeconds"] == 25
    assert found["spent"]["fullTrainings"] == 2
    assert found["cause"] == "BudgetExhausted"


def test_a_budget_that_nothing_uses_up_is_refused() -> None:
    def free(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        return {"value": 1.0, "seconds": 1e12}

    with pytest.raises(Hopeless, match="years"):
        simulated(objective=free)


# ---- what the objective does


def test_what_diverges_or_runs_out_of_memory_has_failed_and_counts_in_its_rung() -> None:
    def bad(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        if parameters["learning_rate"] > 0.01:
            raise MemoryError
        value = math.inf if parameters["learning_rate"] > 0.001 else parameters["learning_rate"]
        return {"value": value, "seconds": 1}

    found = outcome(simulated(objective=bad, budget={"trials": 30}))
    kinds = [trial.get("failure") for trial in found["trials"]]

    assert {"OutOfMemory", "Diverged", None} == set(kinds)
    assert found["rungs"][0]["reached"] == 30
    assert found["rungs"][0]["failed"] == sum(kind is not None for kind in kinds)


def test_an_error_of_the_objective_names_the_trial_the_parameters_and_the_error() -> None:
    def broken(
        parameters: Any, start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        raise ZeroDivisionError("no data")

    message = "raised ZeroDivisionError: no data .*for trial s-0000 from 0 to 1 with learning_rate"
    with pytest.raises(ObjectiveError, match=message):
        simulated(objective=broken)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "gave None"),
        ({"value": 1}, r"gave \['value'\]"),
        ({"value": 1, "seconds": 1, "colour": 2}, "colour"),
        ({"value": "low", "seconds": 1}, "value 'low'"),
        ({"value": 1, "seconds": -1}, "gave -1.0 seconds"),
        ({"value": 1, "seconds": math.nan}, "gave nan seconds"),
        ({"value": 1, "seconds": 1, "cost": []}, "cost"),
    ],
    ids=["none", "no seconds", "a key", "a word", "negative", "not a number", "cost"],
)
def test_a_result_that_is_none_is_an_error(result: Any, message: str) -> None:
    with pytest.raises(ObjectiveError, match=message):
        simulated(objective=lambda *arguments, **named: result)


def test_scaling_rules_are_applied_to_what_the_objective_gets() -> None:
    parameters = [
        {"name": "learning_rate", "float": {"values": [0.1]}},
        {"name": "batch_size", "int": {"values": [512]}},
    ]
    rule = {"parameter": "learning_rate", "law": "Linear", "with": "batch_size", "reference": 256}
    shell = simulated(mode="Full", parameters=parameters, scalingRules=[rule])

    assert outcome(shell)["best"]["value"] == 0.2
