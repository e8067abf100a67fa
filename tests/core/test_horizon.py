"""Claims about trials that are as long as one of their own parameters says."""

import json

import pytest

from scaletune.api.action import Create
from scaletune.api.study import Study
from scaletune.core import attempts
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.observe import Report, observe
from scaletune.core.plan import plan
from scaletune.core.samplers.draws import typed
from scaletune.core.summarise import summarise
from scaletune.shells.recorded import ledger_lines
from scaletune.shells.replay import InvalidLedger, read_lines, replay
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.outcome import ordered
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given

TOKENS = {"name": "tokens", "int": {"min": 10, "max": 10_000, "scale": "Log", "center": 40}}


def study(policy: dict[str, object] | None = None, **spec: object) -> Study:
    return given.study(
        policy={"carbs": {"milestones": [20, 200]}} if policy is None else policy,
        parameters=[TOKENS, given.LEARNING_RATE],
        training={"unit": "Token", "max": {"parameter": "tokens"}},
        **spec,
    )


def trained(parameters, start, until, seed, state=None):  # type: ignore[no-untyped-def]
    value = until**-0.3 + abs(parameters["learning_rate"] - 0.01)
    return {"value": value, "seconds": float(until - start)}


def test_a_new_trial_trains_as_long_as_its_parameter_says() -> None:
    [made, *_] = [a for a in plan(study(), [], given.NOW).actions if isinstance(a, Create)]

    assert made.spec.until == given.values(made.spec.parameters)["tokens"] == 40


def test_its_end_completes_it_and_milestones_beyond_are_none_of_its() -> None:
    one = study()
    trial = given.trial(0, state="Running")
    parameters = typed(one.spec, {"tokens": 40, "learning_rate": 0.01})
    spec = trial.spec.model_copy(update={"parameters": parameters, "until": 40})
    trial = trial.model_copy(update={"spec": spec})

    [seen] = observe(one, [trial], [Report(0, 25, 3.0), Report(0, 40, 2.0)])
    words = given.words(plan(one, [seen], given.NOW))

    assert words == [(0, 20, "Continue"), (0, 40, "Complete")]
    assert Frame.of(one).levels_of(trial) == (20, 40)
    assert attempts.at_rest(Frame.of(one), seen).status.state == "Completed"


@pytest.mark.parametrize(
    "policy", [{}, {"carbs": {"milestones": [20, 200]}}], ids=["none", "carbs"]
)
def test_all_full_trainings_compete_and_the_best_is_trained_in_full(
    policy: dict[str, object],
) -> None:
    one = study(policy, budget={"trials": 12}, confirm={"top": 1, "repeats": 1})
    shell = simulate(Setting(one, trained, Circumstances()), 0)
    full = {
        trial.index: trial.status.milestones[-1]
        for trial in shell.trials.values()
        if trial.spec.role == "Search"
    }
    status = summarise(shell.study, shell.ledger, given.NOW)

    assert all(full[i].at == given.values(shell.trials[i].spec.parameters)["tokens"] for i in full)
    assert {trial.status.state for trial in shell.trials.values()} == {"Completed"}
    best = min(full, key=lambda i: full[i].value or 0.0)
    found = Ledger.best(shell.ledger)
    assert found is not None
    assert found[0].index == best
    assert status.best is not None
    assert status.best.milestone == full[best].at


def test_what_was_recorded_replays_to_the_same_decisions() -> None:
    shell = simulate(Setting(study(budget={"trials": 10}), trained, Circumstances()), 1)
    stored = ledger_lines([*shell.trials.values()], lengths=True)
    expected = [(made.trial, made.milestone, made.decision) for made in ordered(shell.decisions)]

    for lines in (shell.lines, stored):
        made = replay(shell.study, read_lines("\n".join(map(json.dumps, lines))))
        assert [(each.trial, each.milestone, each.decision) for each in made] == expected


def test_a_ledger_must_say_how_long_a_trial_is() -> None:
    with pytest.raises(InvalidLedger, match="with its tokens as `until`"):
        replay(study(), read_lines('{"at": 1, "trial": 0, "step": 40, "value": 1.0}'))
