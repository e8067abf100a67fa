"""Claims about lives that ended without a word: a later one tells what they reported."""

from scaletune.api.configuration import Checkpoint
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.failures import End, verdict
from scaletune.core.observe import observe
from scaletune.core.reports import Telemetry, reports_of
from scaletune_trainer.wire import Life, MilestoneReport, Origin, Replayed
from tests.core import given

STUDY = given.study(mode="Stop")
AT = "2023-11-14T22:13:20Z"


def _lost() -> Trial:
    """Its first life is gone without a word, after sequence 4 was stored; the second began."""
    trial = attempts.begun(given.trial(0), "life-1", "hash", AT)
    trial = attempts.charged(attempts.heard(trial, Telemetry("life-1", sequence=4)), 10.0)
    trial = attempts.ended(trial, verdict(trial, End(None, is_unheard=True), 3))
    return attempts.begun(trial, "life-2", "hash", AT)


def _told(level: int, value: float, own: int, sequence: int = 0) -> MilestoneReport:
    """A report of the second life; with a sequence it is the first one's, told again."""
    origin = Origin("life-1", 1, sequence) if sequence else None
    return MilestoneReport(level, level, value, own, 1, 3.0, origin)


def test_the_next_attempt_is_told_whose_journal_to_read_and_from_where() -> None:
    assert attempts.trial_spec(STUDY, _lost()).replay == (Life("life-1", 1, 4),)


def test_a_journal_that_was_told_is_not_asked_for_again() -> None:
    heard = attempts.heard(_lost(), Telemetry("life-2", replayed=(Replayed("life-1", 2),)))

    assert attempts.trial_spec(STUDY, heard).replay == ()
    # Nor is the work lost that only the journal knew of.
    assert heard.status.checkpoint == Checkpoint(incarnation="life-1", step=2)


def test_beyond_the_last_retry_a_journal_is_read_and_nothing_trained() -> None:
    retries = STUDY.spec.template.retries
    lost = _lost()
    beyond = lost.model_copy(
        update={"status": lost.status.model_copy(update={"crashes": retries + 1})}
    )

    assert not attempts.trial_spec(STUDY, lost).only_replay
    assert attempts.trial_spec(STUDY, beyond).only_replay
    # What the journal told of may let it train again.
    told = Telemetry("life-2", replayed=(Replayed("life-1", 2),))
    assert attempts.heard(beyond, told).status.crashes == 1
    nothing = Telemetry("life-2", replayed=(Replayed("life-1", None),))
    assert attempts.heard(beyond, nothing).status.crashes == retries + 1


def test_after_a_death_for_want_of_memory_a_journal_is_read_and_nothing_trained() -> None:
    trial = attempts.begun(given.trial(0), "life-1", "hash", AT)
    killed = End(137, out_of_memory=True, is_unheard=True)
    trial = attempts.ended(trial, verdict(trial, killed, 3))
    told = attempts.trial_spec(STUDY, attempts.begun(trial, "life-2", "hash", AT))

    assert told.only_replay
    assert told.replay == (Life("life-1", 1, 0),)


def test_a_life_whose_last_words_were_heard_is_not_asked_for() -> None:
    trial = attempts.begun(given.trial(0), "life-1", "hash", AT)
    trial = attempts.ended(trial, verdict(trial, End(1), 3))

    assert attempts.trial_spec(STUDY, attempts.begun(trial, "", "hash", AT)).replay == ()


def test_a_checkpoint_of_ones_own_is_newer_than_one_that_is_told() -> None:
    told = Telemetry("life-2", checkpoint=4, replayed=(Replayed("life-1", 2),))

    twice = attempts.heard(attempts.heard(_lost(), told), told)
    assert twice.status.checkpoint == Checkpoint(incarnation="life-2", step=4)


def test_of_one_milestone_the_report_of_the_earlier_attempt_counts() -> None:
    lost = attempts.charged(_lost(), 5.0)
    both = Telemetry("life-2", milestones=(_told(1, 0.7, 9), _told(1, 0.5, 2, sequence=6)))

    [seen] = observe(STUDY, [lost], reports_of(lost, both))
    [record] = seen.status.milestones
    assert record.value == 0.5
    # At the cost at which it was reported, not at what has been spent since.
    assert record.device_seconds == 3.0

    assert observe(STUDY, [seen], reports_of(seen, both)) == []
