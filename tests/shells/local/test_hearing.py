"""What an incarnation that has gone left behind, and what is made of it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial, TrialSpec
from scaletune.core import attempts
from scaletune.core.failures import End
from scaletune.core.reports import Telemetry
from scaletune.shells.local.hearing import last_words, of_the_departed, scrape
from scaletune.shells.local.intake import Intake, News, take_in, take_in_again
from scaletune_trainer import wire
from scaletune_trainer.wire import CheckpointEntry, EndEntry, MilestoneReport, Reason, ReportEntry

STUDY = Study.model_validate(
    {
        "metadata": {"name": "s"},
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "x", "float": {"min": 0, "max": 1}}],
            "training": {"unit": "Step", "max": 4},
            "policy": {"asha": {"eta": 2, "min": 1, "mode": "Promote"}},
            "template": {"pod": {}},
        },
    }
)


def report(step: int, value: float, sequence: int) -> MilestoneReport:
    return MilestoneReport(step, step, value, sequence, generation=1, device_seconds=float(step))


def running(index: int, until: int = 1) -> Trial:
    """A trial whose first attempt runs as incarnation `life`."""
    spec = TrialSpec(study="s", index=index, until=until)
    trial = Trial.model_validate({"metadata": {"name": f"s-{index:04d}"}, "spec": spec})
    return attempts.started(attempts.begun(trial, "life", "hash", "2026-01-01T00:00:00Z"))


def words(intake: Intake) -> list[str]:
    return [" ".join(f"{key} {value}" for key, value in line.items()) for line in intake.lines]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    entries: list[wire.Entry] = [
        ReportEntry(1, 1.0, 1, 1, {"loss": 0.5}, 2.0, milestone=(1,)),
        CheckpointEntry(2, 1.1, 1),
        ReportEntry(3, 2.0, 2, 1, {"other": 7.0}, 3.0),
    ]
    path = wire.journal_path(tmp_path)
    path.write_text("".join(entry.to_json() + "\n" for entry in entries) + '{"sequence": 4, "ti')
    return path


def test_without_last_words_the_journal_tells(tmp_path: Path, journal: Path) -> None:
    telemetry, message = of_the_departed("life", tmp_path, "loss", None)

    assert message is None
    assert telemetry.checkpoint == 1
    assert telemetry.sequence == 3
    assert telemetry.milestones == (MilestoneReport(1, 1, 0.5, 1, 1, 2.0),)


def test_an_end_that_all_agreed_on_counts_though_its_teller_was_killed(
    tmp_path: Path, journal: Path
) -> None:
    whole = journal.read_text().rpartition("\n")[0]
    end = EndEntry(4, 3.0, Reason.PAUSED, 1, 1).to_json()
    journal.write_text(f"{whole}\n{end}\n")

    _, message = of_the_departed("life", tmp_path, "loss", None)

    assert message is not None
    assert message.reason is Reason.PAUSED


def test_cut_last_words_are_completed_from_the_journal(tmp_path: Path, journal: Path) -> None:
    cut = wire.TerminationMessage(Reason.CRASHED, step=2, truncated=True)

    telemetry, message = of_the_departed("life", tmp_path, "loss", cut)

    assert message is cut
    assert len(telemetry.milestones) == 1


def test_who_says_nothing_is_not_heard(tmp_path: Path) -> None:
    (tmp_path / "words").write_text('{"wire": 1, "rea')
    wire.endpoint_path(tmp_path).write_text("127.0.0.1:1\n")

    assert last_words(tmp_path / "words") is None
    assert last_words(tmp_path / "nowhere") is None
    assert scrape(tmp_path) is None
    assert scrape(tmp_path / "nowhere") is None


def test_of_two_reports_of_one_step_the_first_counts() -> None:
    trials = {0: running(0)}
    telemetry = Telemetry("life", 1, (report(1, 0.5, 3),), report(1, 0.7, 4), sequence=4)

    intake = take_in(STUDY, trials, [News(0, telemetry)], alive={0})

    assert [record.value for record in intake.trials[0].status.milestones] == [0.5]
    assert words(intake) == ["trial 0 step 1 value 0.5 leaving True"]


def test_what_was_acknowledged_is_not_said_twice() -> None:
    telemetry = Telemetry("life", 1, (report(1, 0.5, 3),), sequence=4)
    once = take_in(STUDY, {0: running(0)}, [News(0, telemetry)], alive={0})

    twice = take_in(STUDY, once.trials, [News(0, telemetry)], alive={0})

    assert twice.lines == []
    assert twice.trials == once.trials


def test_reports_of_another_incarnation_are_none_of_this_trial_s() -> None:
    telemetry = Telemetry("another", 1, (report(1, 0.5, 3),), sequence=4)

    intake = take_in(STUDY, {0: running(0)}, [News(0, telemetry)], alive={0})

    assert intake.trials[0].status.milestones == ()


def test_an_attempt_lost_after_its_last_report_has_arrived_all_the_same() -> None:
    telemetry = Telemetry("life", 1, (report(1, 0.5, 3),), sequence=3)
    end = End(None, None, disrupted=True)

    intake = take_in(STUDY, {0: running(0)}, [News(0, telemetry, 2.0, end)], alive=set())

    assert intake.trials[0].status.state == "Paused"
    assert words(intake)[-1] == "trial 0 left True"


def test_a_value_that_is_not_finite_fails_the_trial_and_is_written_as_text() -> None:
    telemetry = Telemetry("life", 1, (report(1, math.nan, 3),), sequence=3)
    message = wire.TerminationMessage(Reason.DIVERGED, step=1)
    news = News(0, telemetry, 2.0, End(0, message))

    intake = take_in(STUDY, {0: running(0)}, [news], alive={0})

    assert intake.trials[0].status.state == "Failed"
    assert words(intake) == [
        "trial 0 step 1 value NaN leaving True",
        "trial 0 failure Diverged leaving True",
        "trial 0 left True",
    ]


# Trials are stored in the order of their indexes, as their records are numbered.
@pytest.mark.parametrize("stored", [(), (0,), (0, 1)], ids=str)
def test_a_turn_that_was_cut_short_is_finished_whatever_was_stored_of_it(
    stored: tuple[int, ...],
) -> None:
    before = {0: running(0), 1: running(1)}
    paused = wire.TerminationMessage(Reason.PAUSED, step=1, checkpoint=1)
    news = [
        News(0, Telemetry("life", 1, (report(1, 0.5, 3),), sequence=3, checkpoint=1), 2.0),
        News(1, Telemetry("life", 1, (report(1, 0.4, 3),), sequence=3, checkpoint=1), 2.0),
    ]
    news[0] = replace(news[0], end=End(0, paused))
    whole = take_in(STUDY, before, news, alive={0, 1})
    half = {i: whole.trials[i] if i in stored else trial for i, trial in before.items()}
    ends = [
        News(i, each.telemetry, 2.0, End(None, paused if i == 0 else None, disrupted=i == 1))
        for i, each in enumerate(news)
        if attempts.is_open(half[i])
    ]

    again = take_in_again(STUDY, half, whole.lines, ends)

    for index, trial in whole.trials.items():
        status = again.trials[index].status
        assert status.state == trial.status.state
        assert [(each.number, each.value) for each in status.milestones] == [
            (each.number, each.value) for each in trial.status.milestones
        ]
