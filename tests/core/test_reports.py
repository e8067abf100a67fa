"""Claims about reports: a scrape and the last words of PID 1 say the same in the same words."""

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.observe import Report, observe
from scaletune.core.reports import ForeignTelemetry, from_exposition, from_message, reports_of
from scaletune_trainer import wire
from scaletune_trainer.wire import Last, MilestoneReport, Reason, TerminationMessage
from tests.core import given

OWN = ["s", "s-0000", "life-1", "1"]
SEEN = (
    MilestoneReport(1, 2, 0.5, sequence=3, generation=1, device_seconds=10.0),
    MilestoneReport(2, 2, 0.5, sequence=3, generation=1, device_seconds=10.0),
    MilestoneReport(4, 4, math.nan, sequence=5, generation=2, device_seconds=20.0),
)


class _Endpoint(Collector):
    """What PID 1 would serve, written by hand from the protocol."""

    def __init__(self, version: str = "1") -> None:
        self.version = version

    def collect(self) -> list[Metric]:
        def gauge(name: str, value: float, **labels: object) -> Metric:
            family = GaugeMetricFamily(name, name, labels=[*wire.LABELS, *labels])
            family.add_metric([*OWN, *map(str, labels.values())], value)
            return family

        found = [
            gauge(wire.Metric.INFO, 1, wire=self.version),
            gauge(wire.Metric.STEP, 4),
            gauge(wire.Metric.SEQUENCE, 5),
            gauge(wire.Metric.CHECKPOINT_STEP, 2),
            gauge(wire.Metric.ACKNOWLEDGED_GENERATION, 2),
            gauge(wire.Metric.HEARTBEAT, 99.5),
            gauge(wire.Metric.METRIC, 0.25, metric="loss"),
        ]
        for each in SEEN:
            labels = {
                "milestone": each.milestone,
                "step": each.step,
                "sequence": each.sequence,
                "generation": each.generation,
            }
            found.append(gauge(wire.Metric.MILESTONE_VALUE, each.value, **labels))
            seconds = wire.Metric.MILESTONE_DEVICE_SECONDS
            found.append(gauge(seconds, each.device_seconds, milestone=each.milestone))
        return found


def exposition(version: str = "1") -> str:
    registry = CollectorRegistry()
    registry.register(_Endpoint(version))
    return generate_latest(registry).decode()


def message() -> TerminationMessage:
    said = TerminationMessage(
        reason=Reason.DIVERGED,
        step=4,
        checkpoint=2,
        sequence=5,
        generation=2,
        device_seconds=20.0,
        reports=SEEN,
        last=Last(4, math.nan, generation=2, sequence=5),
    )
    return TerminationMessage.from_json(said.to_json())


def running(incarnation: str = "life-1", before: float = 0.0) -> Trial:
    fresh = given.trial(0, until=4, device_seconds=before)
    return attempts.begun(fresh, incarnation, "hash", "2023-11-14T22:13:20Z")


def keys(reports: list[Report]) -> set[tuple[int, str, int, int, float]]:
    return {(r.step, str(r.value), r.sequence, r.generation, r.device_seconds) for r in reports}


def test_a_scrape_says_all_that_the_protocol_names() -> None:
    found = from_exposition(exposition())

    assert (found.incarnation, found.step, found.sequence) == ("life-1", 4, 5)
    assert (found.checkpoint, found.acknowledged_generation, found.heartbeat) == (2, 2, 99.5)
    assert found.metrics == {"loss": 0.25}
    assert [each.milestone for each in found.milestones] == [1, 2, 4]
    assert math.isnan(found.milestones[2].value)


def test_a_scrape_and_the_last_words_make_the_same_reports_and_records() -> None:
    scraped = reports_of(running(), from_exposition(exposition()))
    told = reports_of(running(), from_message("life-1", message()))

    assert keys(scraped) == keys(told)
    study = given.study(mode="Stop")
    assert observe(study, [running()], scraped) == observe(study, [running()], told)
    (after,) = observe(study, [running()], told)
    assert [(m.at, m.value) for m in after.status.milestones] == [(1, 0.5), (2, 0.5), (4, None)]


def test_a_report_that_serves_several_milestones_is_one_report() -> None:
    assert len(reports_of(running(), from_exposition(exposition()))) == 2


def test_device_seconds_include_those_of_earlier_attempts() -> None:
    found = reports_of(running(before=100.0), from_exposition(exposition()))

    assert {each.device_seconds for each in found} == {110.0, 120.0}


@pytest.mark.parametrize("of", [running("life-2"), given.trial(0)], ids=["another", "none"])
def test_reports_of_another_incarnation_are_refused(of: Trial) -> None:
    with pytest.raises(ForeignTelemetry, match="but the reports are of life-1"):
        reports_of(of, from_exposition(exposition()))


def test_another_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(ForeignTelemetry, match="use a trainer image of the same release"):
        from_exposition(exposition(version="2"))


def test_another_program_at_the_address_is_no_trial() -> None:
    with pytest.raises(ForeignTelemetry, match="this is not a trial's endpoint"):
        from_exposition("# TYPE up gauge\nup 1\n")


def test_what_was_not_told_yet_is_absent() -> None:
    text = "\n".join(
        line for line in exposition().splitlines() if wire.Metric.INFO in line or line == ""
    )
    found = from_exposition(text + "\n")

    assert (found.step, found.checkpoint, found.milestones) == (0, None, ())


@pytest.mark.parametrize(
    "text",
    [
        "{{{ not metrics",
        'scaletune_trial_info{wire="1"} 1\n',
        exposition().replace('milestone="4"', 'milestone="four"'),
        exposition().replace("scaletune_trial_step{", 'scaletune_trial_step{x="', 1),
    ],
    ids=["garbage", "no incarnation", "no number", "torn"],
)
def test_what_cannot_be_read_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(ForeignTelemetry):
        from_exposition(text)
