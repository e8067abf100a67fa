"""Claims about synchronous successive halving: nobody goes on before all have come."""

import random
from typing import Any

import pytest

from scaletune.api.action import Create, Resume
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.plan import plan
from scaletune.core.seeds import trial_seed
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given
from tests.core.given import of_kind, record, trial
from tests.oracles import halving
from tests.shells.simulate.drawn import CALM

# The worked example: of nine, one diverged (2) and one failed (4).
NINE: list[float | None] = [0.9, 0.2, None, 0.5, None, 0.1, 0.3, 0.8, 0.4]


def study(mode: str = "successiveHalving", **spec: Any) -> Study:
    return given.study(mode=mode, **{"eta": 3, "most": 9, "parallelism": 9, **spec})


def arrived(index: int, value: float | None) -> Trial:
    """A trial that has come to the first rung."""
    if value is None:
        failure = {"kind": "Diverged", "number": index + 1}
        return trial(index, record(1, None, index + 1), state="Failed", failure=failure)
    return trial(index, record(1, value, index + 1), until=1, state="Paused")


def goes_on(trials: list[Trial], **spec: Any) -> list[int]:
    """Who is promoted, in order."""
    made = plan(study(budget={"trials": 9}, **spec), trials, given.NOW)
    promoted = [d.trial for d in made.decisions if d.decision == "Promote"]
    assert promoted == of_kind(made, Resume)
    return promoted


def test_the_best_third_of_a_complete_rung_goes_on() -> None:
    made = plan(
        study(budget={"trials": 9}), [arrived(*each) for each in enumerate(NINE)], given.NOW
    )
    promotions = [given.evidence(d) for d in made.decisions if d.decision == "Promote"]

    assert goes_on([arrived(*each) for each in enumerate(NINE)]) == [5, 1, 6]
    assert promotions == [(9, 0, 3, None), (9, 1, 3, None), (9, 2, 3, None)]


def test_the_others_of_a_complete_rung_are_stopped_at_once_all_but_the_next_best() -> None:
    made = plan(
        study(budget={"trials": 9}), [arrived(*each) for each in enumerate(NINE)], given.NOW
    )

    assert sorted(a for a in given.acts(made) if a[0] == "Stop" and a[1] not in (2, 4)) == [
        ("Stop", 0),
        ("Stop", 3),
        ("Stop", 7),
    ]


def test_fewer_go_on_when_fewer_have_a_value() -> None:
    trials = [arrived(index, 0.5 if index == 0 else None) for index in range(9)]

    assert goes_on(trials) == [0]


@pytest.mark.parametrize("state", ["Running", "Pending"], ids=["running", "lost and started again"])
def test_nobody_goes_on_while_one_is_on_its_way(state: str) -> None:
    trials = [arrived(*each) for each in enumerate(NINE)]
    trials[7] = trial(7, until=1, state=state)

    assert goes_on(trials) == []


def test_nobody_goes_on_while_one_is_to_be_created() -> None:
    trials = [arrived(*each) for each in enumerate(NINE[:8])]

    assert goes_on(trials) == []


def test_an_error_of_the_script_leaves_its_slot_empty_and_holds_nobody_up() -> None:
    trials = [arrived(*each) for each in enumerate(NINE)]
    trials[7] = trial(7, until=1, state="Failed", failure={"kind": "UserError", "number": 5})

    assert goes_on(trials) == [5, 1, 6]


def test_a_deleted_trial_is_not_waited_for() -> None:
    trials = [arrived(*each) for each in enumerate(NINE) if each[0] != 7]

    # Eight slots are left, so two go on.
    assert goes_on(trials, status={"created": 9}) == [5, 1]


def test_a_bracket_that_the_budget_cuts_short_is_closed_with_those_it_has() -> None:
    found = simulated(study(budget={"trials": 13}))

    assert reached(found) == {1: 13, 3: 4, 9: 1}
    assert found.study.status.conditions[0].reason == "Completed"


def test_one_is_trained_in_full_even_of_too_few() -> None:
    assert reached(simulated(study(budget={"trials": 2}))) == {1: 2, 3: 1, 9: 1}


def test_raising_the_budget_opens_the_last_bracket_again() -> None:
    trials = [arrived(index, 0.1 * index) for index in range(6)]
    small, large = (plan(study(budget={"trials": number}), trials, given.NOW) for number in (6, 9))

    assert of_kind(small, Resume) == [0, 1]
    assert of_kind(large, Resume) == []
    assert of_kind(large, Create) == [6, 7, 8]


def test_while_a_rung_waits_the_next_bracket_starts() -> None:
    trials = [arrived(index, 0.1 * index) for index in range(8)]
    trials.append(trial(8, until=1, state="Running"))
    made = plan(study(parallelism=3, budget={"trials": 18}), trials, given.NOW)
    created = [a.spec for a in made.actions if isinstance(a, Create)]

    assert [(spec.index, spec.bracket, spec.until) for spec in created] == [(9, 1, 1), (10, 1, 1)]


def test_brackets_are_compared_apart() -> None:
    # In the second bracket all are worse than in the first, and three go on nevertheless.
    found = simulated(study(budget={"trials": 18}), lambda trial, _: float(trial))

    assert went_on(found, 1) == [0, 1, 2, 9, 10, 11]
    assert went_on(found, 3) == [0, 9]


@pytest.mark.parametrize("mode", ["successiveHalving", "hyperband"])
def test_who_goes_on_is_what_the_oracle_says_however_many_places_there_are(mode: str) -> None:
    for seed in range(24):
        made = study(
            mode,
            eta=2 + seed % 3,
            most=(4, 9, 16, 27)[seed // 3 % 4],
            parallelism=(1, 3, 50)[seed % 3],
            budget={"trials": (5, 17, 40)[seed // 2 % 3]},
        )
        value = random_value(seed)
        check(made, simulated(made, value), value)


def check(made: Study, found: Shell, value: halving.Value) -> None:
    """Each bracket's trials came to the milestones that the oracle says."""
    frame, eta = Frame.of(made), (made.spec.policy.hyperband or made.spec.policy.successive_halving)
    assert eta is not None
    grouped: dict[int, list[int]] = {}
    for each in found.trials.values():
        grouped.setdefault(each.spec.bracket, []).append(each.index)
    expected: dict[int, set[int]] = {}
    for bracket, trials in grouped.items():
        ladder = frame.levels_in(bracket)
        for at, there in halving.bracket(trials, ladder, eta.eta, value).items():
            expected.setdefault(at, set()).update(there)
    drained = {t.index for t in found.trials.values() if is_drained(t)}
    for at in frame.levels:
        came = {t.index for t in found.trials.values() if any(m.at == at for m in milestones(t))}
        assert came - drained <= expected.get(at, set()) <= came


def milestones(each: Trial) -> tuple[Any, ...]:
    return each.status.milestones


def is_drained(each: Trial) -> bool:
    """Whether it was promoted from beyond a quota, so that one is trained in full."""
    evidences = (m.promotion.evidence for m in milestones(each) if m.promotion)
    return any(e.rank is not None and e.quota is not None and e.rank >= e.quota for e in evidences)


def random_value(seed: int) -> halving.Value:
    """Any value, ties among them; some trials diverge."""

    def value(index: int, level: int) -> float | None:
        luck = random.Random(f"{seed}/{index}/{level}")
        return None if luck.random() < 0.05 else luck.choice([0.1, 0.2, 0.3, 0.5, 0.8])

    return value


def simulated(made: Study, value: halving.Value = lambda trial, level: 1.0 / (trial + 1)) -> Shell:
    """The study at its end, where trial `i` has `value(i, step)`."""
    index_of = {trial_seed(made.spec.seed, index): index for index in range(200)}

    def objective(
        parameters: dict[str, Any], start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        found = value(index_of[seed], until)
        return {"value": float("nan") if found is None else found, "seconds": until - start}

    return simulate(Setting(made, objective, CALM), seed=0)


def reached(found: Shell) -> dict[int, int]:
    """How many trials came to each milestone."""
    return {at: len(found.ledger.shelf(("rung", at))) for at in found.frame.levels}


def went_on(found: Shell, level: int) -> list[int]:
    """Who was promoted from a milestone."""
    return sorted(
        d.trial for d in found.decisions if (d.milestone, d.decision) == (level, "Promote")
    )
