"""Whether reports come through Prometheus is told once it has held, and not told twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scaletune.api.conditions import FINISHED, METRICS_REACHABLE, Condition, condition
from scaletune.api.study import StudyStatus
from scaletune.shells.kubernetes.hearing.reachability import (
    GOOD,
    HOLDS_SECONDS,
    MISPLACED,
    Steady,
    Verdict,
    failed,
    forgotten,
    late,
    shown,
)
from tests.shells.kubernetes import given as cluster

LASTING = 10.0
DOWN = failed("Unreachable", "nobody is there")


def _told(noted: list[tuple[float, Verdict]]) -> list[tuple[float, str]]:
    """When what was told, for verdicts at these times."""
    steady, told = Steady(LASTING), []
    for at, verdict in noted:
        if steady.note(verdict, at):
            assert steady.verdict is not None
            told.append((at, steady.verdict.reason))
    return told


def test_one_scrape_that_fails_is_not_told() -> None:
    noted = [(float(at), DOWN if at == 30 else GOOD) for at in range(90)]

    assert _told(noted) == [(10.0, "ThroughPrometheus")]


def test_a_prometheus_that_stays_down_is_told_soon_and_its_return_later() -> None:
    noted = [(float(at), DOWN if 100 <= at < 200 else GOOD) for at in range(400)]

    assert _told(noted) == [
        (10.0, "ThroughPrometheus"),
        (110.0, "Unreachable"),
        (220.0, "ThroughPrometheus"),
    ]


def test_scrapes_that_come_too_seldom_are_told_once() -> None:
    """Fresh for ten seconds of every thirty."""
    noted = [(float(at), GOOD if at % 30 < 10 else late(LASTING)) for at in range(3600)]

    assert _told(noted) == [(20.0, "ScrapesMissing")]


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from([GOOD, DOWN, MISPLACED]))))
def test_whatever_happens_there_is_at_most_one_word_in_ten_seconds(
    steps: list[tuple[float, Verdict]],
) -> None:
    at, noted = 0.0, []
    for pause, verdict in steps:
        at += pause
        noted.append((at, verdict))

    told = _told(noted)

    for (before, one), (after, other) in pairwise(told):
        assert after - before >= HOLDS_SECONDS + (LASTING if other == GOOD.reason else 0)
        assert one != other


def test_the_condition_says_what_to_do_and_goes_when_no_prometheus_is_asked() -> None:
    study = cluster.study()

    status = shown(study, StudyStatus(), DOWN, now=cluster.NOW)

    found = condition(status.conditions, METRICS_REACHABLE)
    assert found is not None
    assert (found.status, found.reason) == ("False", "Unreachable")
    assert "the operator reads the pods itself" in found.message
    assert shown(study, status, None, now=cluster.NOW) == status
    assert forgotten(status).conditions == ()


def test_a_study_that_rests_has_no_trouble_with_being_heard() -> None:
    study, paused = cluster.study(), cluster.study(state="Paused")
    told = shown(study, StudyStatus(), DOWN, now=cluster.NOW)
    ended = Condition(type=FINISHED, status="True", reason="Completed")
    finished = told.model_copy(update={"conditions": (*told.conditions, ended)})

    for verdict in (None, DOWN, GOOD):
        assert shown(study, finished, verdict, now=cluster.NOW).conditions == (ended,)
        assert shown(paused, told, verdict, now=cluster.NOW).conditions == ()
    leaving = told.model_copy(update={"running": 1})
    assert shown(paused, leaving, DOWN, now=cluster.NOW).conditions != ()

    heard = shown(study, StudyStatus(), GOOD, now=cluster.NOW)
    assert shown(paused, heard, DOWN, now=cluster.NOW) == heard
