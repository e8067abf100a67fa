"""Claims about the budget: what was spent, what something will cost, when it is over."""

import pytest

from scaletune.core.budget import Purse, cost, ends_at, exhausted, purse, seconds_of, spent_seconds
from scaletune.core.ledger import Ledger
from tests.core import given
from tests.core.given import record, trial

HOUR = {"gpuHours": 1.0}


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("24h", 86400), ("1h30m", 5400), ("90s", 90), ("1h1m1s", 3661), ("0s", 0), ("100m", 6000)],
)
def test_a_duration_is_read_as_people_write_it(duration: str, seconds: float) -> None:
    assert seconds_of(duration) == seconds


@pytest.mark.parametrize("duration", ["", "1d", "30", "1m1h", "-1s", "1.5h"])
def test_a_duration_that_is_none_is_refused_with_an_example(duration: str) -> None:
    with pytest.raises(ValueError, match="write it as 24h, 1h30m or 90s"):
        seconds_of(duration)


def test_what_deleted_trials_spent_is_not_refunded() -> None:
    study = given.study(status={"deviceSeconds": 100.0})

    assert spent_seconds(study, Ledger.of(study, [trial(0, device_seconds=11.5)])) == 111.5


def test_going_on_costs_what_the_trial_took_per_step_so_far() -> None:
    paused = trial(0, record(2, 0.5, 1, "Pause"), device_seconds=30.0)
    ledger = Ledger.of(given.study(), [paused])

    assert cost(ledger, paused, 4) == 30.0
    assert cost(ledger, paused, 2) == 0.0


def test_a_new_trial_costs_the_median_of_those_that_were_there() -> None:
    seconds = [10.0, 20.0, 90.0]
    trials = [
        trial(i, record(2, 0.5, i + 1, "Pause", deviceSeconds=each))
        for i, each in enumerate(seconds)
    ]
    ledger = Ledger.of(given.study(), trials)

    assert cost(ledger, None, 2) == 20.0
    assert cost(ledger, None, 1) == 0.0
    assert cost(Ledger.of(given.study(), trials[:2]), None, 2) == 15.0


def test_a_trial_without_a_report_costs_the_median_too() -> None:
    known = trial(0, record(1, 0.5, 1, "Pause", deviceSeconds=8.0))
    fresh = trial(1, device_seconds=3.0)

    assert cost(Ledger.of(given.study(), [known, fresh]), fresh, 1) == 8.0


def test_the_purse_holds_back_what_running_trials_will_need() -> None:
    study = given.study(budget=HOUR, mode="Stop")
    running = trial(0, record(1, 0.5, 1, "Continue"), device_seconds=600.0, state="Running")
    leaving = trial(
        1, record(1, 0.5, 2, "Stop"), device_seconds=600.0, state="Running", intent="Stopped"
    )

    assert purse(study, Ledger.of(study, [running, leaving])).seconds == 3600 - 1200 - 600
    assert purse(given.study(), Ledger.of(study, [running])).affords(1e30)


def test_sums_of_floats_do_not_decide() -> None:
    left = Purse(0.3).less(0.1).less(0.1)

    assert left.seconds is not None
    assert left.seconds < 0.1
    assert left.affords(0.1)
    assert not left.affords(0.100001)


def test_hours_are_used_up_when_they_are_spent() -> None:
    study = given.study(budget=HOUR)
    for seconds, over in ((3599.9, False), (3600.0, True), (4000.0, True)):
        ledger = Ledger.of(study, [trial(0, device_seconds=seconds)])
        assert (exhausted(study, ledger, given.NOW) is not None) is over


def test_the_duration_counts_from_the_first_plan() -> None:
    study = given.study(budget={"duration": "1h"}, status={"startedAt": "2023-11-14T22:13:20Z"})
    ledger = Ledger.of(study, [])

    assert ends_at(study, 0.0) == given.NOW + 3600
    assert exhausted(study, ledger, given.NOW + 3599) is None
    assert exhausted(study, ledger, given.NOW + 3600) == "the duration of 1h is over"
    assert ends_at(given.study(budget={"duration": "1h"}), 7.0) == 3607.0
    assert ends_at(given.study(), 7.0) is None
