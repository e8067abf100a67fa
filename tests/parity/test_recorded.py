"""A ledger made from stored Trials replays to the decisions that are stored, whatever happened."""

import json
from dataclasses import replace

import pytest

from scaletune.shells.recorded import ledger_lines
from scaletune.shells.replay import read_lines, replay
from scaletune.shells.simulate.outcome import ordered
from scaletune.shells.simulate.simulation import simulate
from tests import strategies
from tests.shells.simulate import drawn


@pytest.mark.parametrize("mode", [None, *strategies.GROUPED])
def test_what_is_stored_of_a_study_replays_to_its_decisions(mode: str | None) -> None:
    for number in range(25):
        setting = drawn.setting(number, mode)
        shell = simulate(setting, seed=number)
        lines = read_lines("\n".join(map(json.dumps, ledger_lines([*shell.trials.values()]))))

        assert replay(setting.study, lines) == ordered(shell.decisions), f"number {number}"


def test_so_does_one_that_was_short_of_money() -> None:
    exhausted = 0
    for number in range(25):
        setting = drawn.setting(number, "Promote")
        shell = simulate(setting, seed=number)
        spent = shell.study.status.spent_seconds
        if not spent:
            continue
        budget = setting.study.spec.budget.model_copy(update={"gpu_hours": spent / 3600 / 2})
        spec = setting.study.spec.model_copy(update={"budget": budget})
        study = setting.study.model_copy(update={"spec": spec})
        poor = simulate(replace(setting, study=study), seed=number)
        exhausted += poor.study.status.conditions[0].reason == "BudgetExhausted"
        lines = read_lines("\n".join(map(json.dumps, ledger_lines([*poor.trials.values()]))))

        assert replay(study, lines) == ordered(poor.decisions), f"number {number}"
    assert exhausted > 3
