"""Claims about ASHA: on any rungs it judges, promotes, drains and frees as the paper's lists do."""

import random
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from scaletune.api.record import Milestone, Promotion
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.policies.policy import policy_of
from scaletune.core.starts import with_intent
from tests.core import given
from tests.oracles import asha

VALUES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def rungs(study: Study, trials: int, seed: int) -> list[Trial]:
    """Trials that came to any of the rungs, waiting, on their way, done or diverged."""
    draw = random.Random(seed)
    levels = Frame.of(study).levels
    found: list[Trial] = []
    number = 0
    for index in range(trials):
        reached = min(draw.choice([1, 1, 1, 2, 2, 3, 4]), len(levels))
        made: list[Milestone] = []
        for level in levels[:reached]:
            number += 1
            made.append(given.record(level, draw.choice(VALUES), number, "Pause"))
        state, until = "Paused", made[-1].at
        fate = draw.random()
        if made[-1].at == levels[-1]:
            made[-1] = made[-1].model_copy(update={"decision": "Complete"})
            state = "Completed"
        elif fate < 0.15:
            made[-1] = given.record(made[-1].at, None, made[-1].number, "Stop")
            state = "Failed"
        elif fate < 0.35:
            state, until = "Running", levels[reached]
        promotion = Promotion(number=number)
        made = [
            each.model_copy(update={"promotion": promotion}) if each.at < until else each
            for each in made
        ]
        found.append(given.trial(index, *made, until=until, state=state))
    return found


def situation(study: Study, trials: list[Trial]) -> asha.Situation:
    """The same, as the oracle sees it."""
    frame, spec = Frame.of(study), study.spec.policy.asha
    assert spec is not None
    records = [
        asha.Record(t.index, m.at, m.number, None if m.value is None else frame.sign * m.value)
        for t in trials
        for m in t.status.milestones
    ]
    promoted = {(t.index, m.at) for t in trials for m in t.status.milestones if m.promotion}
    gone = {t.index for t in trials if t.status.state in ("Completed", "Failed", "Stopped")}
    return asha.Situation(records, promoted, gone, spec.eta, frame.levels, study.spec.budget.trials)


studies = st.builds(
    given.study,
    eta=st.integers(2, 4),
    most=st.sampled_from([4, 9, 27]),
    goal=st.sampled_from(["Minimize", "Maximize"]),
    budget=st.builds(lambda trials: {"trials": trials}, st.integers(1, 30)),
)
drawn = st.tuples(st.integers(0, 25), st.integers(0, 10**6))


@any_of(studies, drawn)
def test_promotions_are_those_of_the_paper_in_the_same_order(
    study: Study, size: tuple[int, int]
) -> None:
    trials = rungs(study, *size)
    now, policy, ledger = (
        situation(study, trials),
        policy_of(study, Frame.of(study)),
        Ledger.of(study, trials),
    )
    found = []
    while (promotion := policy.next_promotion(ledger)) is not None:
        trial, until, evidence = promotion
        at = trial.status.milestones[-1].at
        found.append((trial.index, at))
        rung = asha.standing(now.records, at)
        place = [record.trial for record in rung].index(trial.index)
        assert (evidence.n, evidence.rank, evidence.quota) == (
            len(rung),
            place,
            len(rung) // now.eta,
        )
        ledger = ledger.replace(trial, with_intent(trial, until))

    expected = asha.promotable(now.records, now.promoted, now.gone, now.eta, now.ladder[-1])
    assert found == [(record.trial, record.level) for record in expected]


@any_of(studies, drawn)
def test_the_drain_takes_the_best_of_the_highest_rung(study: Study, size: tuple[int, int]) -> None:
    trials = rungs(study, *size)
    now = situation(study, trials)
    found = policy_of(study, Frame.of(study)).drain(Ledger.of(study, trials))
    expected = asha.drained(now.records, now.promoted, now.gone, now.ladder[-1])

    assert (found and found[0].index) == (expected and expected.trial)


@any_of(studies, drawn)
def test_who_is_freed_can_be_counted_on_the_lists(study: Study, size: tuple[int, int]) -> None:
    trials = rungs(study, *size)
    found = policy_of(study, Frame.of(study)).freed(
        Ledger.of(study, trials), study.spec.budget.trials, finishing=False
    )

    assert {trial.index for trial in found} == asha.freed(situation(study, trials))


@any_of(studies, drawn)
def test_nobody_is_freed_who_could_be_promoted_now(study: Study, size: tuple[int, int]) -> None:
    trials = rungs(study, min(size[0], study.spec.budget.trials or 0), size[1])
    now = situation(study, trials)
    able = asha.promotable(now.records, now.promoted, now.gone, now.eta, now.ladder[-1])

    assert {record.trial for record in able} & asha.freed(now) == set()


@pytest.mark.parametrize("mode", ["Stop", "Promote"])
@any_of(
    values=st.lists(st.sampled_from([*VALUES, None]), min_size=1, max_size=15),
    eta=st.integers(2, 4),
    goal=st.sampled_from(["Minimize", "Maximize"]),
)
def test_records_are_judged_as_on_the_lists(
    mode: str, values: list[float | None], eta: int, goal: str
) -> None:
    study = given.study(mode=mode, eta=eta, most=eta, goal=goal)
    policy, sign = policy_of(study, Frame.of(study)), Frame.of(study).sign
    ledger, records = Ledger.of(study, []), []
    for number, value in enumerate(values, 1):
        index = (7 * number) % 16  # not in the order of arrival
        made = given.record(1, value, number)
        trial = given.trial(index, made)
        word, evidence = policy.judge(ledger, trial, made)
        score = None if value is None else sign * value
        records.append(asha.Record(index, 1, number, score))
        found = asha.judge(records[-1], records, eta, eta, mode)

        assert (word, evidence.n, evidence.rank, evidence.quota, evidence.against) == (
            found.word,
            found.n,
            found.rank,
            found.quota,
            found.against,
        )
        done = given.changed(trial, milestones=(made.model_copy(update={"decision": word}),))
        ledger = ledger.replace(None, done)


CENTERED = {"parameters": [{"name": "x", "float": {"min": 0.0, "max": 1.0, "center": 0.9}}]}
HALF = {"parameters": [*CENTERED["parameters"], given.LEARNING_RATE]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (CENTERED, "Continue"),
        ({**CENTERED, "sampler": {"random": {}}, "initial": [{}]}, "Continue"),
        ({**CENTERED, "sampler": {"list": {"configurations": [{"x": 0.9}]}}}, "Continue"),
        ({**CENTERED, "initial": [{"x": 0.2}, {}]}, "Stop"),
        ({**CENTERED, "sampler": {"random": {}}}, "Stop"),
        (HALF, "Stop"),
        ({}, "Stop"),
    ],
)
def test_in_mode_stop_a_study_that_begins_at_all_centers_trains_them_in_full(
    spec: dict[str, Any], expected: str
) -> None:
    study = given.study(mode="Stop", **spec)
    policy = policy_of(study, Frame.of(study))
    better = given.trial(1, given.record(1, 0.1, 1, "Continue"))
    ledger = Ledger.of(study, [better])

    def judged(index: int, value: float | None) -> str:
        made = given.record(1, value, 2)
        return policy.judge(ledger, given.trial(index, made), made)[0]

    assert judged(0, 0.5) == expected
    assert judged(0, None) == "Stop"
    assert judged(2, 0.5) == "Stop"


def test_a_promoted_trial_that_was_overtaken_makes_room_above() -> None:
    """Worked by hand: eta 2, four trials; 0 was promoted early and is no longer in the top half."""
    study = given.study(eta=2, most=8, budget={"trials": 4})
    up = {"promotion": {"number": 2}}
    trials = [
        given.trial(
            0,
            given.record(1, 0.5, 1, "Pause", **up),
            given.record(2, 0.5, 5, "Pause"),
            until=2,
            state="Paused",
        ),
        *(
            given.trial(i, given.record(1, value, i + 1, "Pause", **up), until=2, state="Running")
            for i, value in ((1, 0.1), (2, 0.2))
        ),
        given.trial(3, given.record(1, 0.9, 4, "Pause"), until=1, state="Paused"),
    ]
    ledger = Ledger.of(study, trials)
    found = list(policy_of(study, Frame.of(study)).freed(ledger, 4, finishing=False))

    # The second rung may come to hold 3: its only record keeps its place. The first rung's last
    # waiting trial is kept as the best one waiting there.
    assert [each.index for each in found] == []
