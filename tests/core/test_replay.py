"""Claims about replay: a ledger of reports leads to the decisions that the rules say."""

import json
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st

from scaletune.api.study import Study
from scaletune.core.frame import Frame
from scaletune.core.samplers.sampler import sampler_size
from scaletune.shells.replay import InvalidLedger, read_lines, replay
from tests import strategies
from tests.core import given
from tests.core.world import World, every_decision
from tests.oracles.replay import Replay, Rules

Told = tuple[int, int, str]


def decisions(study: Study, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As `scaletune replay --output json` prints them."""
    found = replay(study, read_lines("\n".join(map(json.dumps, lines))))
    return [
        {
            "number": made.number,
            "trial": made.trial,
            "milestone": made.milestone,
            "decision": made.decision,
            "evidence": made.evidence.model_dump(),
        }
        for made in found
    ]


def told(study: Study, *lines: tuple[Any, ...]) -> list[Told]:
    """The decisions on lines (at, trial, step, value), (at, trial, failure) or (at, trial)."""
    found = decisions(study, [_line(*line) for line in lines])
    return [(each["trial"], each["milestone"], each["decision"]) for each in found]


def _line(at: float, trial: int, *rest: Any) -> dict[str, Any]:
    if not rest:
        return {"at": at, "trial": trial, "created": True}
    if len(rest) == 1:
        return {"at": at, "trial": trial, "failure": rest[0]}
    return {"at": at, "trial": trial, "step": rest[0], "value": rest[1]}


def rules(study: Study) -> Rules:
    """What the oracle needs to know of a Study."""
    spec, asha = study.spec, study.spec.policy.asha
    points = sampler_size(spec)
    limits = [spec.budget.trials, None if points is None else points + len(spec.initial)]
    return Rules(
        ladder=Frame.of(study).levels,
        mode=asha.mode if asha else "Full",
        eta=asha.eta if asha else 2,
        sign=-1.0 if spec.objectives[0].goal == "Maximize" else 1.0,
        parallelism=spec.parallelism,
        trials=spec.budget.trials,
        creatable=min((each for each in limits if each is not None), default=None),
        target=spec.objectives[0].target,
    )


# ---- worked tables


@pytest.mark.parametrize(
    ("eta", "goal", "arrivals", "expected"),
    [
        (
            3,
            "Minimize",
            [(0, 0.5), (1, 0.4), (2, 0.6), (3, 0.3), (4, 0.45), (5, 0.35), (6, 0.2), (7, 0.55)],
            "CCSCSCCS",
        ),
        (
            2,
            "Minimize",
            [(0, "NaN"), (1, 0.9), (2, 0.8), (3, 0.85), (4, "NaN"), (5, 0.79)],
            "SCCCSC",
        ),
        (2, "Minimize", [(3, 1.0), (1, 1.0), (2, 1.0), (0, 1.0)], "CCSC"),
        (
            4,
            "Maximize",
            [(0, 0.5), (1, 0.7), (2, 0.6), (3, 0.7), (4, 0.9), (5, 0.1), (6, 0.71), (7, 0.8)],
            "CCSSCSSC",
        ),
        (
            3,
            "Minimize",
            [(i, float(v)) for i, v in enumerate((5, 4, 6, 3, 7, 2, 8, 1, 9))],
            "CCSCSCSCS",
        ),
        (3, "Minimize", [(i, 9.0 - i) for i in range(9)], "CCCCCCCCC"),
        (3, "Minimize", [(i, 1.0) for i in range(6)], "CSSSSS"),
    ],
    ids=["table", "divergence counts", "ties", "maximise", "mixed", "improving", "all equal"],
)
def test_the_worked_tables_of_the_stopping_rule(
    eta: int, goal: str, arrivals: list[tuple[int, float | str]], expected: str
) -> None:
    study = given.study(mode="Stop", eta=eta, goal=goal, least=1, most=eta, parallelism=9)
    lines = [(at, trial, 1, value) for at, (trial, value) in enumerate(arrivals)]

    assert "".join(word[0] for _, _, word in told(study, *lines)) == expected


def test_the_worked_example_with_void_records() -> None:
    study = given.study(mode="Stop", eta=2, most=4)
    found = told(
        study, (1, 0, 1, 0.1), (2, 1, 2, 0.5), (3, 2, 2, 0.05), (4, 3, 2, 0.6), (5, 0, 2, 0.1)
    )

    assert found == [
        (0, 1, "Continue"),
        (1, 1, "Stop"),
        (1, 2, "Void"),
        (2, 1, "Continue"),
        (2, 2, "Continue"),
        (3, 1, "Stop"),
        (3, 2, "Void"),
        (0, 2, "Stop"),
    ]


def test_a_jump_serves_the_levels_it_passed_and_a_late_report_changes_nothing() -> None:
    study = given.study(mode="Stop", eta=3, most=27)
    lines = [(1, 0, 5, 0.5), (1, 0, 6, 0.6), (2, 0, 1, 0.1), (3, 1, 3, 0.45)]
    found = decisions(study, [_line(*line) for line in lines])

    assert [(d["trial"], d["milestone"], d["decision"]) for d in found] == [
        (0, 1, "Continue"),
        (0, 3, "Continue"),
        (1, 1, "Continue"),
        (1, 3, "Continue"),
    ]
    assert [d["evidence"]["rank"] for d in found] == [0, 0, 0, 0]


def test_a_smaller_step_of_the_same_snapshot_serves() -> None:
    study = given.study(mode="Stop", eta=3, most=27, target=0.1)
    # The target is reached by the value that serves, and by no other.
    assert told(study, (1, 0, 5, 0.5), (1, 0, 1, 0.05)) == told(
        study, (1, 0, 1, 0.05), (1, 0, 5, 0.5)
    )


def test_a_first_value_stays_when_a_restart_reports_the_step_again() -> None:
    study = given.study(mode="Stop", eta=2, most=3, parallelism=2)
    lines = [(1, 0, 1, 0.5), (2, 0, 1, 0.1), (3, 1, 1, 0.4)]

    assert told(study, *lines) == [(0, 1, "Continue"), (1, 1, "Continue")]


def test_a_report_after_the_stop_is_void() -> None:
    study = given.study(mode="Stop", eta=2, most=4)
    found = told(study, (1, 0, 1, 0.1), (2, 1, 1, 0.5), (3, 1, 2, 0.0), (4, 2, 2, 0.3))

    assert found[2] == (1, 2, "Void")
    assert found[3:] == [(2, 1, "Stop"), (2, 2, "Void")]


# ---- places


def test_twenty_seven_at_once_leave_nine_three_and_one() -> None:
    study = given.study(eta=3, most=27, parallelism=27, budget={"trials": 27})
    lines: list[tuple[Any, ...]] = [(0, i, 1, float(i)) for i in range(27)]
    lines += [(1, i, 3, float(i)) for i in range(9)] + [(2, i, 9, float(i)) for i in range(3)]
    found = told(study, *lines, (3, 0, 27, 0.0))
    by_level = {at: sum(1 for _, m, w in found if (m, w) == (at, "Promote")) for at in (1, 3, 9)}

    assert by_level == {1: 9, 3: 3, 9: 1}
    assert found[-1] == (0, 27, "Complete")


def test_a_promotion_waits_for_a_free_place() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})
    busy = [(1, 0, 1, 0.1), (1, 2), (2, 1, 1, 0.5), (3, 2, "UserError")]

    assert told(study, *busy) == [(0, 1, "Pause"), (1, 1, "Pause"), (0, 1, "Promote")]
    assert told(study, *busy[:-1]) == [(0, 1, "Pause"), (1, 1, "Pause")]


def test_created_lines_take_their_places_after_the_promotions_of_their_snapshot() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})
    together = told(study, (1, 0, 1, 0.1), (2, 1, 1, 0.5), (2, 2))
    before = told(study, (1, 0, 1, 0.1), (1, 2), (2, 1, 1, 0.5))

    assert together[-1] == (0, 1, "Promote")
    assert before[-1] == (1, 1, "Pause")


def test_a_promotion_has_the_number_of_its_snapshot_and_sorts_after_the_record() -> None:
    study = given.study(eta=2, parallelism=9, budget={"trials": 9})
    lines = [_line(1, 0, 1, 0.2), _line(2, 1, 1, 0.1), _line(2, 2, 1, 0.3)]

    assert [(d["number"], d["trial"], d["decision"]) for d in decisions(study, lines)] == [
        (1, 0, "Pause"),
        (2, 1, "Pause"),
        (3, 2, "Pause"),
        (3, 1, "Promote"),
    ]


def test_a_trial_holds_its_place_until_it_has_left_where_the_ledger_says_so() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})
    at_once: list[dict[str, Any]] = [_line(1, 0, 1, 0.1), _line(2, 1, 1, 0.5)]
    leaving = [at_once[0], {**at_once[1], "leaving": True}]
    gone = [*leaving, {"at": 3, "trial": 1, "left": True}]

    assert [d["decision"] for d in decisions(study, at_once)] == ["Pause", "Pause", "Promote"]
    assert [d["decision"] for d in decisions(study, leaving)] == ["Pause", "Pause"]
    assert [d["decision"] for d in decisions(study, gone)] == ["Pause", "Pause", "Promote"]


def test_a_trial_that_is_leaving_and_next_keeps_its_own_place() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})
    lines = [_line(1, 0, 1, 0.5), {**_line(2, 1, 1, 0.1), "leaving": True}]

    assert decisions(study, lines)[-1]["decision"] == "Promote"


def test_the_last_report_serves_as_soon_as_its_trial_is_promoted() -> None:
    study = given.study(eta=2, parallelism=1, most=8, budget={"trials": 9})

    assert told(study, (1, 0, 5, 0.1), (2, 1, 1, 0.5)) == [
        (0, 1, "Pause"),
        (1, 1, "Pause"),
        (0, 1, "Promote"),
        (0, 2, "Pause"),
    ]


def test_the_drain_waits_until_all_have_appeared() -> None:
    study = given.study(eta=4, most=16, parallelism=4, budget={"trials": 2})

    assert told(study, (1, 0, 1, 0.1)) == [(0, 1, "Pause")]
    assert told(study, (1, 0, 1, 0.1), (2, 1, "UserError"))[-1] == (0, 1, "Promote")
    assert told(study, (1, 0, 1, 0.1), (1, 1)) == [(0, 1, "Pause")]


def test_a_used_up_grid_drains_too() -> None:
    searched = [{"name": "n", "int": {"values": [1, 2]}}]
    study = given.study(
        eta=4, most=16, parameters=searched, sampler={"grid": {}}, budget={"trials": 50}
    )

    assert told(study, (1, 0, 1, 0.1), (2, 1, 1, 0.2))[-1] == (0, 1, "Promote")


def test_an_infrastructure_failure_changes_no_decision() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})
    lines = [(1, 0, 1, 0.1), (2, 1, 1, 0.5), (4, 2, 1, 0.7)]
    disturbed = [lines[0], (1, 0, "Infrastructure"), lines[1], (3, 2, "Infrastructure"), lines[2]]

    assert told(study, *disturbed) == told(study, *lines)


def test_a_failed_configuration_counts_in_its_rung_and_an_error_of_the_user_in_none() -> None:
    study = given.study(eta=2, parallelism=1, budget={"trials": 9})

    assert told(study, (1, 0, 1, 0.1), (2, 1, "OutOfMemory"))[-1] == (0, 1, "Promote")
    assert told(study, (1, 0, 1, 0.1), (2, 1, "UserError")) == [(0, 1, "Pause")]


def test_after_the_target_nobody_is_promoted() -> None:
    study = given.study(eta=2, parallelism=2, target=0.2)

    assert told(study, (1, 0, 1, 0.1), (2, 1, 1, 0.5)) == [(0, 1, "Pause"), (1, 1, "Pause")]


# ---- against the oracle, and against runs


@settings(max_examples=250)
@any_of(st.data())
def test_any_ledger_is_decided_as_the_oracle_decides(data: st.DataObject) -> None:
    study = data.draw(strategies.studies(trials_max=8))
    lines = data.draw(strategies.ledgers(Frame.of(study).levels, trials_max=6))

    assert decisions(study, lines) == Replay(rules(study)).run(lines)


@any_of(strategies.studies(trials_max=8), st.data())
def test_the_order_of_lines_in_a_snapshot_does_not_matter(
    study: Study, data: st.DataObject
) -> None:
    lines = data.draw(strategies.ledgers(Frame.of(study).levels, trials_max=6))
    mixed = sorted(data.draw(st.permutations(lines)), key=lambda line: line["at"])
    failures = [(line["at"], line["trial"]) for line in lines if "failure" in line]
    if len(failures) == len(set(failures)):
        assert decisions(study, mixed) == decisions(study, lines)


MODES = ("Promote", "Stop", "Promote", "Full")


@pytest.mark.parametrize("linger", [0.0, 3.0], ids=["leaving at once", "leaving late"])
@pytest.mark.parametrize("block", range(6))
def test_the_ledger_of_a_run_replays_to_the_decisions_of_that_run(
    block: int, linger: float
) -> None:
    for seed in range(block * 20, block * 20 + 20):
        check_run(seed, MODES[seed % 4], linger)


@pytest.mark.parametrize("linger", [0.0, 3.0], ids=["leaving at once", "leaving late"])
@pytest.mark.parametrize("mode", strategies.GROUPED)
def test_the_ledger_of_a_run_in_brackets_replays_too(mode: str, linger: float) -> None:
    for seed in range(40):
        check_run(seed, mode, linger)


def check_run(seed: int, mode: str, linger: float) -> None:
    """A run of one of many studies, and its replay."""
    study = given.study(
        mode=mode,
        eta=2 + seed // 4 % 3,
        most=(4, 9, 16, 27)[seed // 3 % 4],
        parallelism=1 + seed % 5,
        goal=("Minimize", "Maximize")[seed // 5 % 2],
        target=(None, None, 0.1)[seed // 2 % 3],
        budget={"trials": (3, 8, 14)[seed % 3]},
        sampler=({}, {"grid": {"points": 4}})[seed // 7 % 2],
    )
    world = World(study, seed, overshoot=(0, 0, 1, 20)[seed // 8 % 4], linger=linger)
    world.run()
    replayed = decisions(study, world.lines)

    assert world.finished, f"seed {seed}"
    assert [
        (d["number"], d["trial"], d["milestone"], d["decision"])
        for d in sorted(
            replayed, key=lambda d: (d["number"], d["decision"] == "Promote", d["trial"])
        )
    ] == [
        (number, trial, at, word)
        for number, _, trial, at, word, _ in every_decision(world.trials.values())
    ], f"seed {seed}"


# ---- reading


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"at": 1}', "line 1: trial"),
        ('{"at": 1, "trial": -1, "created": true}', "line 1: trial"),
        ('{"at": 1, "trial": 0}', "give one of value, created, failure, left and promoted"),
        ('{"at": 1, "trial": 0, "value": 0.5}', "a value needs a step"),
        ('{"at": 1, "trial": 0, "step": 1, "value": "nan"}', "line 1: value"),
        ('{"at": 1, "trial": 0, "failure": "Sad"}', "line 1: failure"),
        ('{"at": 1, "trial": 0, "created": true, "colour": 1}', "line 1: colour"),
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(line: str, message: str) -> None:
    with pytest.raises(InvalidLedger, match=message):
        read_lines(line)


def test_times_that_run_backwards_and_contradictions_are_refused() -> None:
    with pytest.raises(InvalidLedger, match="in the order of their times"):
        told(given.study(), (2, 0, 1, 0.5), (1, 1, 1, 0.5))
    with pytest.raises(InvalidLedger, match="two values for step 1"):
        told(given.study(), (1, 0, 1, 0.5), (1, 0, 1, 0.4))
