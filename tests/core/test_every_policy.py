"""Claims about every policy: what holds for any Study and any snapshot, numbered as P1 to P15."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import given as any_of
from hypothesis import strategies as st

from scaletune.api.action import Create, Decide, Exploit, LookAgain, Pause, Plan, Resume, Stop
from scaletune.api.model import Metadata
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.api.trial_name import repeat_of
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.plan import decide, plan
from scaletune.core.samplers.sampler import configuration
from scaletune.core.starts import decided, intended
from tests import strategies
from tests.core import given
from tests.core.given import changed
from tests.core.units import scaled_study, scaled_trial
from tests.core.world import World, every_decision

Snapshot = tuple[Study, list[Trial]]
MODES = strategies.EVERY


def planned(snapshot: Snapshot) -> Plan:
    return plan(*snapshot, given.NOW)


def mapped(trial: Trial, value: Any) -> Trial:
    """The trial with every value v of its records and its last report replaced by value(v)."""
    records = tuple(
        each if each.value is None else each.model_copy(update={"value": value(each.value)})
        for each in trial.status.milestones
    )
    last = trial.status.last
    if last is not None and last.value is not None:
        last = last.model_copy(update={"value": value(last.value)})
    return changed(trial, milestones=records, last=last)


def words(found: Plan) -> list[Any]:
    """A plan without its sentences, which show values."""
    return [
        *found.decisions,
        *(
            (type(a).__name__, getattr(a, "trial", None), getattr(a, "until", None))
            for a in found.actions
        ),
    ]


@settings(max_examples=300)
@any_of(strategies.snapshots())
def test_p1_any_snapshot_has_one_plan_and_keeps_its_values(snapshot: Snapshot) -> None:
    study, trials = snapshot
    before = study.model_dump_json(), [trial.model_dump_json() for trial in trials]

    assert plan(study, trials, given.NOW) == plan(study, tuple(trials), given.NOW)
    assert (study.model_dump_json(), [trial.model_dump_json() for trial in trials]) == before


@any_of(strategies.snapshots(), st.integers(0, 99))
def test_p2_the_order_of_trials_and_records_does_not_matter(snapshot: Snapshot, seed: int) -> None:
    study, trials = snapshot
    order = random.Random(seed)
    mixed = [
        changed(t, milestones=tuple(order.sample(t.status.milestones, len(t.status.milestones))))
        for t in trials
    ]
    order.shuffle(mixed)

    assert planned((study, mixed)) == planned(snapshot)


@any_of(strategies.snapshots())
def test_p4_a_new_trial_is_the_next_one_and_actions_change_something(snapshot: Snapshot) -> None:
    study, trials = snapshot
    by_index = {trial.index: trial for trial in trials}
    found = planned(snapshot)
    created = [a.trial for a in found.actions if isinstance(a, Create)]
    searched = [index for index in created if repeat_of(index) is None]
    first = max([study.status.created, *(i + 1 for i in by_index if repeat_of(i) is None)])

    assert searched == list(range(first, first + len(searched)))
    assert set(created) & set(by_index) == set()
    assert not searched or created == searched
    for action in found.actions:
        if isinstance(action, Stop):
            assert by_index[action.trial].spec.state != "Stopped"
        if isinstance(action, Pause):
            assert by_index[action.trial].spec.state == "Running"
        if isinstance(action, Resume):
            spec = by_index[action.trial].spec
            assert (spec.state, spec.until) != ("Running", action.until)
    told = [a.trial for a in found.actions if isinstance(a, Create | Resume | Pause | Stop)]
    assert len(told) == len(set(told))


@any_of(strategies.snapshots())
def test_p5_what_starts_has_a_place_and_never_more_trials_than_allowed(snapshot: Snapshot) -> None:
    study, trials = snapshot
    frame = Frame.of(study)
    held = {trial.index for trial in trials if frame.holds_place(trial)}
    starts = [a for a in planned(snapshot).actions if isinstance(a, Create | Resume)]
    if starts:
        allowed = max(study.spec.parallelism, len(held))  # whoever holds a place may keep it
        assert len(held | {start.trial for start in starts}) <= allowed
    limit = study.spec.budget.trials
    for start in starts:
        if isinstance(start, Create) and limit is not None and repeat_of(start.trial) is None:
            assert start.trial < limit


@any_of(strategies.snapshots())
def test_p6_a_trial_that_has_ended_is_left_alone(snapshot: Snapshot) -> None:
    study, trials = snapshot
    ended = {t.index for t in trials if Frame.of(study).state(t) in TERMINAL}
    acted = {a.trial for a in planned(snapshot).actions if isinstance(a, Resume | Pause | Stop)}

    assert acted & ended == set()


@any_of(strategies.snapshots())
def test_p8_only_the_order_of_values_counts(snapshot: Snapshot) -> None:
    study, trials = snapshot
    assume(study.spec.objectives[0].target is None)
    squashed = [mapped(trial, lambda v: math.atan(v) * 3 - 1) for trial in trials]
    assume(all(abs(m.value or 0) < 1e3 for t in trials for m in t.status.milestones))

    assert words(planned((study, squashed))) == words(planned(snapshot))


@any_of(strategies.snapshots())
def test_p9_to_minimise_is_to_maximise_the_opposite(snapshot: Snapshot) -> None:
    study, trials = snapshot
    objective = study.spec.objectives[0]
    goal = "Maximize" if objective.goal == "Minimize" else "Minimize"
    target = None if objective.target is None else -objective.target
    turned = objective.model_copy(update={"goal": goal, "target": target})
    confirm = study.spec.confirm
    if confirm is not None and confirm.goal is not None:
        opposite = "Maximize" if confirm.goal == "Minimize" else "Minimize"
        confirm = confirm.model_copy(update={"goal": opposite})
    update = {"objectives": (turned,), "confirm": confirm}
    other = study.model_copy(update={"spec": study.spec.model_copy(update=update)})

    mirrored = [mapped(trial, lambda v: -v) for trial in trials]
    assert words(planned((other, mirrored))) == words(planned(snapshot))


@any_of(strategies.snapshots())
def test_p10_what_diverged_is_never_best_nor_promoted(snapshot: Snapshot) -> None:
    study, trials = snapshot
    by_index = {trial.index: trial for trial in trials}
    for made in planned(snapshot).decisions:
        record = next(m for m in by_index[made.trial].status.milestones if m.at == made.milestone)
        if record.value is None:
            assert made.decision in ("Stop", "Void")
    best = Ledger.of(study, trials).best()
    assert best is None or best[1].value is not None


@any_of(strategies.snapshots(), st.integers(1, 5))
def test_p11_attempts_and_crashes_change_no_decision(snapshot: Snapshot, number: int) -> None:
    study, trials = snapshot
    attempt = [{"number": number, "cause": "Disrupted"}]
    retried = [
        Trial.model_validate(
            {
                **trial.model_dump(by_alias=True),
                "status": {
                    **trial.status.model_dump(by_alias=True),
                    "attempts": attempt,
                    "crashes": number,
                    "checkpoint": trial.status.checkpoint or {"incarnation": "life", "step": 99},
                },
            }
        )
        for trial in trials
    ]

    assert ageless(planned((study, retried))) == ageless(planned(snapshot))


def ageless(found: Plan) -> Plan:
    """The plan without the numbers of attempts that it gives up."""
    decisions = tuple(
        replace(made, exploit=made.exploit and made.exploit.model_copy(update={"attempt": 0}))
        for made in found.decisions
    )
    actions = tuple(
        replace(each, exploit=each.exploit.model_copy(update={"attempt": 0}))
        if isinstance(each, Exploit)
        else each
        for each in found.actions
    )
    return Plan(decisions, actions)


@any_of(strategies.snapshots(modes=("Stop",)), st.sampled_from([0.0, -9.0, None]))
def test_p12_what_a_stopped_trial_still_reports_changes_nothing_else(
    snapshot: Snapshot, value: float | None
) -> None:
    study, trials = snapshot
    first, second, *_ = (*Frame.of(study).levels, None)
    assume(second is not None)
    assert second is not None
    stopped = given.record(first, 0.5, 31, "Stop")
    silent = given.trial(13, stopped, intent="Stopped", state="Running")
    late = given.trial(
        13, stopped, given.record(second, value, 32), intent="Stopped", state="Running"
    )
    status = study.status.model_copy(update={"highest_number": 32})
    study = study.model_copy(update={"status": status})
    before = plan(study, [*trials, silent], given.NOW)
    after = plan(study, [*trials, late], given.NOW)

    assert after.decisions == (*before.decisions, Decide(13, second, "Void", 32))
    assert after.actions == before.actions


@any_of(strategies.studies(), st.integers(0, 50), st.text(max_size=5))
def test_p13_a_configuration_depends_on_the_seed_the_index_and_what_was_seen_alone(
    study: Study, index: int, name: str
) -> None:
    other = given.study(
        parameters=[p.model_dump(by_alias=True, exclude_none=True) for p in study.spec.parameters],
        seed=study.spec.seed,
        sampler=study.spec.sampler.model_dump(by_alias=True, exclude_none=True),
        initial=list(study.spec.initial),
        budget={"trials": 99},
        template={"pod": {"metadata": {"name": name}}},
    )

    of_other, of_study = (
        configuration(each, Ledger.of(each, ()), index) for each in (other, study)
    )

    assert of_other == of_study


@any_of(strategies.snapshots())
def test_p14_the_unit_of_steps_does_not_matter(snapshot: Snapshot) -> None:
    study, trials = snapshot
    scaled = scaled_study(study, 7)
    # Rungs that are not given, or that have to be rounded, may lie elsewhere.
    assume(Frame.of(scaled).levels == tuple(7 * level for level in Frame.of(study).levels))
    seven = [scaled_trial(trial, 7) for trial in trials]
    found, expected = plan(scaled, seven, given.NOW), planned(snapshot)

    assert [(d.number, d.trial, d.milestone, d.decision, d.evidence) for d in found.decisions] == [
        (d.number, d.trial, 7 * d.milestone, d.decision, d.evidence) for d in expected.decisions
    ]
    assert given.acts(found) == given.acts(expected)
    assert drawn(found) == drawn(expected)


def drawn(found: Plan) -> list[Any]:
    """With which values trials begin and go on, and from whom."""
    taken = [each.exploit for each in found.decisions if each.exploit is not None]
    return [
        *((each.donor, each.parameters) for each in taken),
        *(each.spec.parameters for each in found.actions if isinstance(each, Create)),
    ]


@any_of(strategies.snapshots(), st.integers(0, 10**9))
def test_p15_time_alone_changes_nothing_before_the_plan_looks_again(
    snapshot: Snapshot, later: int
) -> None:
    study, trials = snapshot
    # A study that was never planned begins with the plan.
    started = study.status.model_copy(update={"started_at": "2023-11-14T22:00:00Z"})
    study = study.model_copy(update={"status": started})
    now = plan(study, trials, given.NOW)
    again = [a.at for a in now.actions if isinstance(a, LookAgain)]
    assert len(again) <= 1
    moment = given.NOW + later if not again else min(given.NOW + later, again[0] - 0.5)

    assert plan(study, trials, moment) == now
    if again:
        assert plan(study, trials, again[0]) != now


@any_of(strategies.snapshots())
def test_a_ledger_that_is_carried_along_plans_as_a_new_one(snapshot: Snapshot) -> None:
    study, trials = snapshot
    carried = Ledger.of(study, [])
    for trial in trials:
        carried = carried.replace(None, trial)

    assert decide(study, carried, given.NOW) == planned(snapshot)


@any_of(strategies.snapshots())
def test_decisions_have_the_numbers_of_their_records_in_order(snapshot: Snapshot) -> None:
    found = planned(snapshot).decisions
    own = [d for d in found if d.decision != "Promote"]
    promotions = found[len(own) :]

    assert all(isinstance(d, Decide) and d.decision == "Promote" for d in promotions)
    assert [d.number for d in own] == sorted(d.number for d in own)
    highest = [m.number for t in snapshot[1] for m in t.status.milestones]
    assert {d.number for d in promotions} <= {max([snapshot[0].status.highest_number, *highest])}


@any_of(strategies.snapshots())
def test_p7_carrying_a_plan_out_leaves_nothing_more_to_do_at_once(snapshot: Snapshot) -> None:
    study, trials = snapshot
    by_index = {trial.index: trial for trial in trials}
    for _ in range(3):  # a promotion may serve as the reason for freeing somebody, but that ends
        found = plan(study, by_index.values(), given.NOW)
        if not found.decisions and not any(
            isinstance(a, Create | Resume | Pause | Stop) for a in found.actions
        ):
            return
        carried_out(by_index, found)
    raise AssertionError("it does not settle")


def carried_out(trials: dict[int, Trial], found: Plan) -> None:
    """Store what a plan says, and let nothing happen in the world."""
    for made in found.decisions:
        trials[made.trial] = decided(trials[made.trial], made)
    for action in found.actions:
        if isinstance(action, Create):
            trials[action.trial] = Trial(metadata=Metadata(name="new"), spec=action.spec)
        elif isinstance(action, Resume):
            trials[action.trial] = intended(trials[action.trial], action)
        elif isinstance(action, Stop | Pause):
            state = "Stopped" if isinstance(action, Stop) else "Paused"
            trials[action.trial] = given.intended(trials[action.trial], state=state)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("parallelism", [1, 3])
def test_p7_every_study_comes_to_its_end_with_a_full_training_if_any_can(
    mode: str, parallelism: int
) -> None:
    for seed in range(15):
        study = given.study(mode=mode, eta=2 + seed % 3, most=9, parallelism=parallelism)
        world = World(study, seed)
        world.run()
        ledger = Ledger.of(world.study, world.trials.values())

        assert world.finished
        assert plan(world.study, world.trials.values(), world.at) == Plan()
        if ledger.frame.pauses and not any(t.status.failure for t in world.trials.values()):
            assert ledger.has_full_training()


@pytest.mark.parametrize("mode", MODES)
def test_however_late_trainers_leave_no_more_than_parallelism_ever_hold_a_place(mode: str) -> None:
    for seed in range(10):
        world = World(given.study(mode=mode, parallelism=3, most=9), seed, linger=4.0)
        for _ in range(200):
            world.turn()
            held = Ledger.of(world.study, world.trials.values()).shelf("holders")
            assert len(held) <= 3
            assert len(world.running) <= 3
            if not world.advance():
                break


def test_a_study_with_one_place_does_not_depend_on_how_fast_anybody_is() -> None:
    for seed in range(10):
        study = given.study(parallelism=1, most=9)
        quick, slow = World(study, seed), World(study, seed, linger=5.0)
        quick.run()
        slow.run()
        assert [e[2:5] for e in every_decision(quick.trials.values())] == [
            e[2:5] for e in every_decision(slow.trials.values())
        ]
