"""A life tells what earlier ones wrote into their journals and nobody heard."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from scaletune.core.reports import from_exposition
from scaletune_trainer import wire
from scaletune_trainer.wire import Life, Reason, State
from tests.trainer.lives import QUADRATIC, Ended, Trial, place, values


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def _unheard(ended: Ended, attempt: int = 1, after: int = 0) -> Life:
    return Life(ended.folder.name, attempt, after)


def _origins(ended: Ended) -> dict[int, tuple[str, int] | None]:
    """By milestone: who reported it, in which attempt; nobody else if it was this life."""
    return {
        report.milestone: None
        if report.origin is None
        else (report.origin.incarnation, report.origin.attempt)
        for report in ended.message.reports
    }


def test_a_trial_that_was_done_is_told_again_and_not_trained_again(trial: Trial) -> None:
    lost = trial.quadratic()
    again = trial.quadratic("--fail=1", replay=[_unheard(lost)])

    assert (again.code, again.message.reason, again.message.step) == (0, Reason.DONE, 9)
    assert values(again) == values(lost)
    assert _origins(again) == dict.fromkeys((1, 3, 9), ("life-1", 1))
    # Its checkpoint is the one of the life that wrote it.
    assert again.message.checkpoint is None
    assert again.message.replayed == (wire.Replayed("life-1", 9),)


def test_training_goes_on_from_the_checkpoint_that_nobody_had_heard_of(trial: Trial) -> None:
    lost = trial.quadratic(directive=wire.Directive(1, 3))
    again = trial.quadratic("--every-step", replay=[_unheard(lost)])

    steps = [entry.step for entry in again.journal if isinstance(entry, wire.ReportEntry)]
    assert again.message.reason is Reason.DONE
    assert min(steps) == 4
    assert _origins(again) == {1: ("life-1", 1), 3: ("life-1", 1), 9: None}


@pytest.mark.parametrize(
    ("directive", "reason"),
    [
        (wire.Directive(2, 3), Reason.PAUSED),
        (wire.Directive(2, 9, State.PAUSED), Reason.PAUSED),
        (wire.Directive(2, 9), Reason.DONE),
    ],
    ids=["as far as wanted", "paused by people", "promoted meanwhile"],
)
def test_a_trial_that_had_paused_goes_on_only_when_it_is_wanted(
    trial: Trial, directive: wire.Directive, reason: Reason
) -> None:
    lost = trial.quadratic(directive=wire.Directive(1, 3))
    again = trial.quadratic(replay=[_unheard(lost)], directive=directive)

    assert (again.code, again.message.reason) == (0, reason)


def test_what_was_heard_is_not_told_again(trial: Trial) -> None:
    lost = trial.quadratic()
    heard = next(report for report in lost.message.reports if report.milestone == 3).sequence
    again = trial.quadratic(replay=[_unheard(lost, after=heard)])

    assert set(values(again)) == {9}


def test_a_life_that_is_lost_before_it_told_passes_everything_on(trial: Trial) -> None:
    lost = trial.quadratic(directive=wire.Directive(1, 1))
    between = trial.quadratic(replay=[_unheard(lost)], directive=wire.Directive(1, 3))
    last = trial.quadratic(replay=[_unheard(lost), _unheard(between, 2)])

    assert _origins(last) == {1: ("life-1", 1), 3: ("life-2", 2), 9: None}
    assert [each.incarnation for each in last.message.replayed] == ["life-1", "life-2"]


def test_the_first_report_of_a_milestone_counts_even_when_it_is_trained_again(
    trial: Trial,
) -> None:
    """Killed after the report of step 3 and before its checkpoint."""
    lost = trial.quadratic("--kill=4")
    assert lost.message.checkpoint is None or lost.message.checkpoint < 3
    again = trial.quadratic(replay=[_unheard(lost)])

    assert _origins(again) == {1: ("life-1", 1), 3: ("life-1", 1), 9: None}


def test_a_divergence_that_nobody_heard_of_ends_the_trial(trial: Trial) -> None:
    lost = trial.quadratic("--diverge=3")
    again = trial.quadratic(replay=[_unheard(lost)])

    assert again.message.reason is Reason.DIVERGED
    assert math.isnan(values(again)[3])


def test_a_life_that_never_wrote_anything_has_nothing_to_tell(trial: Trial) -> None:
    ended = trial.quadratic(replay=[Life("never", 1)])

    assert ended.message.reason is Reason.DONE
    assert ended.message.replayed == (wire.Replayed("never"),)


def test_another_life_of_one_attempt_goes_on_from_its_checkpoint_untold(trial: Trial) -> None:
    """A Job that was suspended makes new pods, with the same variables."""
    first = trial.quadratic(directive=wire.Directive(1, 3))
    again = trial.quadratic("--every-step", is_same_attempt=True)

    steps = [entry.step for entry in again.journal if isinstance(entry, wire.ReportEntry)]
    assert (again.message.reason, min(steps)) == (Reason.DONE, 4)
    assert _origins(again) == {1: (first.folder.name, 1), 3: (first.folder.name, 1), 9: None}


def test_an_attempt_that_is_to_read_alone_tells_everything_and_trains_nothing(
    trial: Trial,
) -> None:
    lost = trial.quadratic(directive=wire.Directive(1, 3))
    trial.only_replay = True
    again = trial.quadratic(replay=[_unheard(lost)])

    assert (again.code, again.message.reason) == (wire.ExitCode.CRASHED, Reason.REPLAYED)
    assert _origins(again) == dict.fromkeys((1, 3), ("life-1", 1))
    assert again.message.replayed == (wire.Replayed("life-1", 3),)
    assert not any(isinstance(entry, wire.ReportEntry) for entry in again.journal)


def test_what_is_told_again_stands_in_the_metrics_under_the_numbers_of_its_writer(
    trial: Trial,
) -> None:
    lost = trial.quadratic(directive=wire.Directive(1, 3))
    trial.replay = [_unheard(lost)]
    life = trial.start(sys.executable, str(QUADRATIC), "--hang=4", restore=place(lost))
    told = from_exposition(life.metrics())
    life.process.kill()
    life.process.communicate()

    sequences = {report.milestone: report.sequence for report in lost.message.reports}
    assert {each.milestone: each.origin for each in told.milestones} == {
        at: wire.Origin("life-1", 1, sequences[at]) for at in (1, 3)
    }
    assert told.replayed == (wire.Replayed("life-1", 3),)
