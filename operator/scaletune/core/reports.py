"""Reports as they come from a trainer: from its metrics endpoint or its termination message.

One parser for all shells: the text of a scrape of the endpoint, the same series as Prometheus
keeps them, or the last words of PID 1, become the same `Telemetry`. What they say is checked
against the trial's own attempt: a report of another incarnation is none of this trial's, whoever's
address it came from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from scaletune.api.trial import Trial
from scaletune.core.lifecycle import is_outdated
from scaletune.core.observe import Report
from scaletune_trainer.wire import (
    VERSION,
    Metric,
    MilestoneReport,
    Origin,
    Replayed,
    TerminationMessage,
)


class ForeignTelemetry(ValueError):
    """What was read does not belong to this attempt, or speaks another version."""


class OtherVersion(ForeignTelemetry):
    """The trainer speaks another version of the protocol; `incarnation` is who."""

    def __init__(self, incarnation: str, version: str | None) -> None:
        self.incarnation = incarnation
        super().__init__(
            f"the trainer speaks protocol version {version}, this Scaletune {VERSION}:"
            " use a trainer image of the same release"
        )


@dataclass(frozen=True)
class Telemetry:
    """What an incarnation has to say so far."""

    incarnation: str
    step: int = 0
    milestones: tuple[MilestoneReport, ...] = ()
    last: MilestoneReport | None = None  # the latest report of the objective
    metrics: dict[str, float] = field(default_factory=dict)
    sequence: int = 0
    checkpoint: int | None = None
    acknowledged_generation: int | None = None
    heartbeat: float | None = None
    refusal: str = ""  # why nothing that it says can be understood, and what to do
    replayed: tuple[Replayed, ...] = ()  # earlier lives whose journals it has told


def from_exposition(text: str) -> Telemetry:
    """What a scrape of the metrics endpoint says. Raises ForeignTelemetry."""
    families = text_string_to_metric_families(text)
    return from_samples(sample for family in families for sample in family.samples)


def from_samples(samples: Iterable[Sample]) -> Telemetry:
    """What all series of one incarnation say. Raises ForeignTelemetry."""
    try:
        return _telemetry(samples)
    except ForeignTelemetry:
        raise
    except (ValueError, KeyError) as error:
        raise ForeignTelemetry(f"these are not the metrics of a trial: {error!r}") from None


def _telemetry(series: Iterable[Sample]) -> Telemetry:
    samples: dict[str, list[Sample]] = {}
    for sample in series:
        samples.setdefault(sample.name, []).append(sample)
    info = samples.get(Metric.INFO)
    if not info:
        raise ForeignTelemetry(f"no {Metric.INFO}: this is not a trial's endpoint")
    labels = info[0].labels
    if labels.get("wire") != str(VERSION):
        raise OtherVersion(labels.get("incarnation", ""), labels.get("wire"))
    return Telemetry(
        incarnation=labels["incarnation"],
        step=int(_single(samples, Metric.STEP) or 0),
        milestones=tuple(sorted(_milestones(samples), key=lambda each: each.milestone)),
        metrics={each.labels["metric"]: each.value for each in samples.get(Metric.METRIC, ())},
        sequence=int(_single(samples, Metric.SEQUENCE) or 0),
        checkpoint=_integer(_single(samples, Metric.CHECKPOINT_STEP)),
        acknowledged_generation=_integer(_single(samples, Metric.ACKNOWLEDGED_GENERATION)),
        heartbeat=_single(samples, Metric.HEARTBEAT),
        replayed=tuple(_replayed(samples)),
    )


def _single(samples: dict[str, list[Sample]], metric: Metric) -> float | None:
    found = samples.get(metric)
    return found[0].value if found else None


def _integer(value: float | None) -> int | None:
    return None if value is None else int(value)


def _milestones(samples: dict[str, list[Sample]]) -> Iterator[MilestoneReport]:
    seconds = {
        each.labels["milestone"]: each.value
        for each in samples.get(Metric.MILESTONE_DEVICE_SECONDS, ())
    }
    costs = {
        each.labels["milestone"]: each.value for each in samples.get(Metric.MILESTONE_COST, ())
    }
    for sample in samples.get(Metric.MILESTONE_VALUE, ()):
        labels = sample.labels
        yield MilestoneReport(
            milestone=int(labels["milestone"]),
            step=int(labels["step"]),
            value=sample.value,
            sequence=int(labels["sequence"]),
            generation=int(labels["generation"]),
            device_seconds=seconds.get(labels["milestone"], 0.0),
            origin=Origin.parse(of) if (of := labels.get("of")) else None,
            cost=costs.get(labels["milestone"]),
        )


def _replayed(samples: dict[str, list[Sample]]) -> Iterator[Replayed]:
    for sample in samples.get(Metric.REPLAYED, ()):
        checkpoint = None if sample.value < 0 else int(sample.value)
        yield Replayed(sample.labels["of"], checkpoint)


def from_message(incarnation: str, message: TerminationMessage) -> Telemetry:
    """What a termination message says."""
    last = message.last
    return Telemetry(
        incarnation=incarnation,
        step=message.step,
        milestones=tuple(message.reports),
        last=None
        if last is None
        else MilestoneReport(
            milestone=last.step,
            step=last.step,
            value=last.value,
            sequence=last.sequence,
            generation=last.generation,
            device_seconds=message.device_seconds,
        ),
        sequence=message.sequence,
        checkpoint=message.checkpoint,
        acknowledged_generation=message.generation,
        replayed=tuple(message.replayed),
    )


def without_reports(telemetry: Telemetry) -> Telemetry:
    """The same, of which nothing is taken for heard but how far training and checkpoints came."""
    return replace(telemetry, milestones=(), last=None, sequence=0, replayed=())


def reports_of(trial: Trial, telemetry: Telemetry) -> list[Report]:
    """The reports as `observe` takes them. Raises ForeignTelemetry for another incarnation's."""
    attempt = trial.status.attempts[-1] if trial.status.attempts else None
    if attempt is None or attempt.incarnation != telemetry.incarnation:
        raise ForeignTelemetry(
            f"{trial.metadata.name} runs as {attempt.incarnation if attempt else 'nothing'},"
            f" but the reports are of {telemetry.incarnation}"
        )
    if is_outdated(trial):
        return []
    return [_report(trial, each, attempt.number) for each in _once(telemetry)]


def _report(trial: Trial, each: MilestoneReport, attempt: int) -> Report:
    """One report under the numbers of the life that wrote it, which may be an earlier one."""
    sequence = each.sequence
    if each.origin is not None:
        attempt, sequence = min(attempt, each.origin.attempt), each.origin.sequence
    since = sum(own.device_seconds for own in trial.status.attempts if own.number >= attempt)
    return Report(
        trial=trial.index,
        step=each.step,
        value=each.value,
        device_seconds=trial.status.device_seconds - since + each.device_seconds,
        attempt=attempt,
        generation=each.generation,
        sequence=sequence,
        cost=each.cost,
    )


def _once(telemetry: Telemetry) -> Iterable[MilestoneReport]:
    """Each report once: one may serve several milestones, and be the last as well."""
    each = [*telemetry.milestones, *([telemetry.last] if telemetry.last else [])]
    return {report.sequence: report for report in reversed(each)}.values()
