"""Claims about failures: how an attempt ended, and whose fault it was."""

from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.core.failures import READERS_MAX, End, verdict
from scaletune.core.lifecycle import Event
from scaletune_trainer.wire import Reason, TerminationMessage
from tests.core import given

RETRIES = 3


def ran(crashes: int = 0, checkpoint: str | None = None) -> Trial:
    """A trial whose latest attempt was incarnation `now`."""
    place = None if checkpoint is None else {"incarnation": checkpoint, "step": 5}
    attempts = [{"number": 1, "incarnation": "now"}]
    return given.trial(0, state="Running", attempts=attempts, crashes=crashes, checkpoint=place)


def said(reason: Reason, error: str = "") -> TerminationMessage:
    return TerminationMessage(reason=reason, step=5, error=error)


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        (Reason.DONE, Event.COMPLETED),
        (Reason.PAUSED, Event.PAUSED),
        (Reason.STOPPED, Event.STOPPED),
    ],
)
@pytest.mark.parametrize("disrupted", [False, True])
def test_an_end_as_agreed_is_no_failure_even_when_the_node_went_away(
    reason: Reason, event: Event, disrupted: bool
) -> None:
    found = verdict(ran(crashes=2), End(0, said(reason), disrupted=disrupted), RETRIES)

    assert (found.event, found.kind, found.crashes) == (event, None, 0)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (End(0, said(Reason.DIVERGED)), "Diverged"),
        (End(44, said(Reason.OUT_OF_MEMORY)), "OutOfMemory"),
        (End(44), "OutOfMemory"),
        (End(137, out_of_memory=True), "OutOfMemory"),
        (End(1, said(Reason.CRASHED), out_of_memory=True), "OutOfMemory"),
        (End(43, said(Reason.USER_ERROR, "ImportError: x")), "UserError"),
        (End(43), "UserError"),
    ],
    ids=["diverged", "memory", "memory code", "killed", "kernel", "user", "user code"],
)
def test_faults_of_the_configuration_and_of_the_user_are_for_good(end: End, kind: str) -> None:
    found = verdict(ran(), end, RETRIES)

    assert (found.event, found.kind) == (Event.FAILED, kind)


@pytest.mark.parametrize(
    "end",
    [
        End(143, said(Reason.TERMINATED)),
        End(143),
        End(137, disrupted=True),
        End(43, disrupted=True),
    ],
    ids=["terminated", "code", "killed", "error in a drain"],
)
def test_a_disruption_is_nobodys_fault_and_is_not_counted(end: End) -> None:
    found = verdict(ran(crashes=2), end, RETRIES)

    assert (found.event, found.kind, found.crashes) == (Event.LOST, None, 2)


@pytest.mark.parametrize(
    "end",
    [End(1), End(None), End(139), End(45, said(Reason.STALLED)), End(0)],
    ids=["crash", "gone", "signal", "stalled", "silent"],
)
def test_infrastructure_is_retried_and_counted(end: End) -> None:
    found = verdict(ran(crashes=2), end, RETRIES)

    assert (found.event, found.kind, found.crashes) == (Event.LOST, None, 3)


def test_crashes_in_a_row_without_a_newer_checkpoint_are_too_many_at_last() -> None:
    end = End(1, said(Reason.CRASHED, "NCCL error"))
    found = verdict(ran(crashes=RETRIES), end, RETRIES)

    assert (found.event, found.kind) == (Event.FAILED, "RetriesExhausted")
    assert found.reason == (
        "4 crashes in a row without a newer checkpoint; the last one: NCCL error"
    )


def test_the_end_of_a_long_error_is_kept_because_it_says_what_happened() -> None:
    error = "  File module.py\n" * 60 + "RuntimeError: the device has fallen off the bus"
    found = verdict(ran(crashes=3), End(1, said(Reason.CRASHED, error[-1000:])), retries=3)

    assert found.reason.endswith("fallen off the bus")
    assert len(found.reason) <= 1024


def test_the_last_crash_without_last_words_is_followed_by_an_attempt_that_reads_its_journal() -> (
    None
):
    gone = End(None, is_unheard=True)
    assert verdict(ran(crashes=RETRIES), gone, RETRIES).event is Event.LOST

    nothing_new = verdict(ran(RETRIES + 1), End(1, said(Reason.REPLAYED)), RETRIES)
    assert (nothing_new.kind, nothing_new.crashes) == ("RetriesExhausted", RETRIES + 1)
    # The journal told of a newer checkpoint, which begins the count anew.
    newer = verdict(ran(crashes=1), End(1, said(Reason.REPLAYED)), RETRIES)
    assert (newer.event, newer.kind, newer.crashes) == (Event.LOST, None, 1)


def test_a_journal_that_nobody_comes_to_read_is_given_up_at_last() -> None:
    crashes, gone = RETRIES, End(None, is_unheard=True)
    for _ in range(READERS_MAX):
        found = verdict(ran(crashes), gone, RETRIES)
        assert found.event is Event.LOST
        crashes = found.crashes

    assert verdict(ran(crashes), gone, RETRIES).kind == "RetriesExhausted"


def _of_memory(*causes: str, **status: Any) -> Trial:
    """A trial whose attempts ended so, and whose latest is over just now."""
    attempts = [{"number": number, "cause": cause} for number, cause in enumerate(causes, 1)]
    attempts.append({"number": len(causes) + 1, "incarnation": "now"})
    return given.trial(0, state="Running", attempts=attempts, **status)


def test_who_was_killed_for_want_of_memory_without_a_word_has_failed_once_its_journal_is_read() -> (
    None
):
    killed = End(137, out_of_memory=True, is_unheard=True)
    first = verdict(_of_memory(), killed, RETRIES)
    assert (first.event, first.cause, first.kind) == (Event.LOST, "OutOfMemory", None)

    newer = {"incarnation": "before", "step": 5}
    read = verdict(
        _of_memory("OutOfMemory", checkpoint=newer), End(1, said(Reason.REPLAYED)), RETRIES
    )
    assert (read.event, read.kind) == (Event.FAILED, "OutOfMemory")
    assert read.reason == "attempt 1 ran out of memory, and left no last words but its journal"
    # The journal says how it had ended before.
    done = verdict(_of_memory("OutOfMemory"), End(0, said(Reason.DONE)), RETRIES)
    assert done.event is Event.COMPLETED


def test_the_reader_of_a_journal_may_be_lost_itself_but_not_for_ever() -> None:
    gone, drained = End(None, is_unheard=True), End(None, disrupted=True, is_unheard=True)
    causes = ["OutOfMemory"]
    for end in (gone, drained, gone):
        assert verdict(_of_memory(*causes), end, 0).event is (
            Event.LOST if len(causes) < READERS_MAX else Event.FAILED
        )
        causes.append("Lost")

    again = verdict(_of_memory("OutOfMemory"), End(137, out_of_memory=True, is_unheard=True), 0)
    assert (again.event, again.kind) == (Event.FAILED, "OutOfMemory")


def test_a_newer_checkpoint_begins_the_count_anew() -> None:
    assert verdict(ran(RETRIES, checkpoint="now"), End(1), RETRIES).crashes == 1
    assert verdict(ran(RETRIES, checkpoint="before"), End(1), RETRIES).kind == "RetriesExhausted"


def test_without_retries_the_first_crash_is_the_last() -> None:
    assert verdict(ran(), End(1), 0).kind == "RetriesExhausted"
