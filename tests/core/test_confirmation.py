"""Confirmation: the best few and the control are trained again, and only then is one the best."""

from typing import Any

import pytest

from scaletune.api.action import Create, Finish, Stop
from scaletune.api.conditions import CONFIRMED, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import Repeat, index_of, repeat_of, trial_name
from scaletune.core.ledger import Ledger
from scaletune.core.plan import plan
from scaletune.core.summarise import summarise
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given
from tests.core.confirming import SEARCH, searched, study, trained_again
from tests.core.world import World, wishes
from tests.shells.simulate.drawn import CALM, even


def created(of: Study, *trials: Trial) -> list[str]:
    made = plan(of, trials, given.NOW).actions
    return [trial_name("s", each.trial) for each in made if isinstance(each, Create)]


def test_the_best_that_differ_and_the_control_are_trained_first_once_each_then_again() -> None:
    of = study(parallelism=8)

    assert created(of, *SEARCH) == [
        *("s-confirm-1-0", "s-confirm-3-0", "s-control-0"),
        *("s-confirm-1-1", "s-confirm-3-1", "s-control-1"),
    ]


def test_all_configurations_have_the_same_seed_at_the_same_repeat_and_train_in_full() -> None:
    made = plan(study(parallelism=8), SEARCH, given.NOW).actions
    specs = [each.spec for each in made if isinstance(each, Create)]

    assert len({spec.seed for spec in specs[:3]}) == 1
    assert len({spec.seed for spec in specs}) == 2
    assert {spec.until for spec in specs} == {4}
    assert [given.values(spec.parameters)["learning_rate"] for spec in specs[:3]] == [0.2, 0.7, 0.5]


def test_nothing_is_confirmed_while_a_trial_of_the_search_may_still_be_better() -> None:
    running = given.trial(3, until=4, state="Running")

    assert created(study(parallelism=8), *SEARCH[:3], running) == []


def test_without_all_centers_there_is_no_control() -> None:
    of = study(parallelism=8, parameters=[given.LEARNING_RATE])

    assert [name for name in created(of, *SEARCH) if "control" in name] == []


def test_a_candidate_that_is_the_control_is_trained_as_a_candidate_alone() -> None:
    names = created(study(parallelism=8), searched(0, 0.1, 0.5), *SEARCH[1:])

    assert [name for name in names if "control" in name] == []
    assert "s-confirm-0-0" in names


def test_without_a_range_two_configurations_differ_by_a_tenth_of_a_decade() -> None:
    rate = {"name": "learning_rate", "float": {"scale": "Log", "center": 1e-2}}
    values = {0: 1.0e-2, 1: 1.2e-2, 2: 1.3e-2}
    trials = [searched(index, 0.1 + index, value) for index, value in values.items()]

    names = created(
        study(mode="Carbs", parallelism=8, parameters=[rate], budget={"trials": 3}), *trials
    )

    assert [name for name in names if "-confirm-" in name] == [
        *("s-confirm-0-0", "s-confirm-2-0", "s-confirm-0-1", "s-confirm-2-1")
    ]


def test_where_nothing_has_a_value_nothing_is_confirmed() -> None:
    trials = [searched(index, None, 0.1 * index) for index in range(4)]
    made = plan(study(), trials, given.NOW).actions

    assert [each.cause for each in made if isinstance(each, Finish)] == ["Completed"]


def test_a_candidate_that_has_a_training_stays_one_though_a_better_has_come() -> None:
    kept = trained_again(0, 0, 0.3, 9)

    names = created(study(parallelism=8, confirm={"repeats": 1}), *SEARCH, kept)
    more = created(study(parallelism=8), *SEARCH, kept)

    assert names == ["s-confirm-1-0", "s-confirm-3-0", "s-control-0"]
    assert "s-confirm-0-1" in more


def test_a_training_whose_trial_was_deleted_is_not_done_again() -> None:
    of = study(parallelism=8, budget={"trials": 4})
    again = [trained_again(1, 0, 0.1, 9), trained_again(1, 1, 0.1, 10)]
    status = summarise(of, Ledger.of(of, [*SEARCH, *again]), given.NOW)
    of = of.model_copy(update={"status": status})

    assert [name for name in created(of, *SEARCH) if "confirm-1-" in name] == []


def test_a_target_ends_the_search_and_what_reached_it_is_confirmed() -> None:
    of = study(parallelism=8, target=0.15)
    running = given.trial(3, until=4, state="Running")
    found = plan(of, [*SEARCH[:3], running], given.NOW)

    assert given.of_kind(found, Stop) == [3]
    assert created(of, *SEARCH)[0] == "s-confirm-1-0"


def test_the_best_of_a_confirmed_study_is_the_winner_by_mean() -> None:
    world = World(study(budget={"trials": 6}), seed=3)
    world.run()
    found, best = world.study.status.confirmation, world.study.status.best
    assert found is not None
    assert best is not None
    said = condition(world.study.status.conditions, CONFIRMED)
    assert said is not None

    assert world.finished
    assert best.trial == found.configurations[0].trial
    assert best.value == found.configurations[0].mean
    assert said.status == "True"
    assert best.trial in said.message
    assert world.study.status.progress == "6/6"


@pytest.mark.parametrize(
    "mode", ["Promote", "Stop", "successiveHalving", "hyperband", "Carbs", "Full"]
)
def test_every_policy_is_confirmed_and_a_raised_budget_goes_on_where_the_search_was(
    mode: str,
) -> None:
    world = World(study(mode=mode, budget={"trials": 9}, parallelism=3), seed=1)
    world.run()
    first = {index for index in world.trials if repeat_of(index)}
    wishes(world, budget={"trials": 12})
    world.run()
    search = [index for index in world.trials if repeat_of(index) is None]

    assert world.finished
    assert search == list(range(12))
    assert first
    assert first <= set(world.trials)


def test_names_and_indices_tell_each_other() -> None:
    for repeat in (Repeat(17, 0), Repeat(9999, 99), Repeat(None, 3)):
        assert repeat_of(repeat.index) == repeat
        assert index_of(trial_name("a-confirm", repeat.index)) == repeat.index
    assert repeat_of(9999) is None
    assert index_of(trial_name("s", 17)) == 17


# ---- what it costs


def simulated(**spec: Any) -> Shell:
    return simulate(Setting(study(**spec), even, CALM), seed=0)


@pytest.mark.parametrize("hours", [0.031, 0.05, 0.1])
@pytest.mark.parametrize("mode", ["Promote", "Stop", "successiveHalving", "hyperband", "Full"])
def test_the_search_leaves_the_hours_that_confirmation_takes(mode: str, hours: float) -> None:
    shell = simulated(mode=mode, most=9, parallelism=2, budget={"gpuHours": hours})
    found = shell.study.status.confirmation
    assert found is not None
    trainings = [trial for trial in shell.trials.values() if repeat_of(trial.index)]
    searched = sum(each.status.device_seconds for each in shell.trials.values())
    searched -= sum(each.status.device_seconds for each in trainings)

    assert [each.trainings for each in found.configurations] == [2, 2, 2]
    assert {trial.status.state for trial in trainings} == {"Completed"}
    assert shell.ledger.spent_seconds <= hours * 3600 + 1e-6
    assert searched >= hours * 3600 - 6 * 9 - 9 * 2  # what is reserved, and what does not fit


def test_a_budget_that_confirmation_would_eat_up_is_halved() -> None:
    shell = simulated(most=9, budget={"gpuHours": 0.02}, confirm={"top": 5, "repeats": 5})
    trainings = [trial for trial in shell.trials.values() if repeat_of(trial.index)]

    assert len(trainings) == 4  # of 36 seconds
    assert [trial.spec.repeat for trial in trainings] == [0, 0, 0, 0]


def test_the_search_leaves_the_time_that_confirmation_takes() -> None:
    shell = simulated(most=9, parallelism=2, budget={"duration": "90s"})
    found = shell.study.status.confirmation
    assert found is not None

    assert [each.trainings for each in found.configurations] == [2, 2, 2]
    assert {each.standing for each in found.configurations} <= {"Winner", "Tied", "Behind"}
    assert shell.world.now <= 90


def test_confirmation_goes_by_the_metric_that_it_names() -> None:
    def objective(parameters: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        rate = parameters["learning_rate"]
        return {"value": rate, "seconds": 1, "metrics": {"test_loss": 1 - rate}}

    of = study(budget={"trials": 8}, confirm={"metric": "test_loss"})
    found = simulate(Setting(of, objective, CALM), seed=0).study.status.confirmation
    assert found is not None

    assert found.configurations[0].role == "Control"  # its rate is higher than the search wants
    assert found.rank_correlation == -1
