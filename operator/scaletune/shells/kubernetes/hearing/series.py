"""Series: what Prometheus knows of running trials, as telemetry of our own pods. Pure.

A trainer's series pass through Prometheus with more labels than it gave them, once for each job and
each replica that scrapes it. They count only if the labels `namespace` and `pod`, which the scrape
configuration takes from the target, name the very pod whose uid the series carry: an address may
have been given to another pod since, and anybody can serve any text. What remains is read as the
trainer's own exposition is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.samples import Sample

from scaletune.core.reports import ForeignTelemetry, OtherVersion, Telemetry, from_samples
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune_trainer.wire import Metric

NAME: Final = "__name__"


@dataclass(frozen=True)
class Series:
    """One element of an instant vector: when it was evaluated, and to what."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass
class Sighting:
    """What Prometheus knows of some pods."""

    telemetry: dict[str, Telemetry] = field(default_factory=dict)
    """By the pod's uid; of several scrapes of one pod the one that knows most."""
    age: dict[str, float] = field(default_factory=dict)
    """How many seconds ago Prometheus has last scraped it, by its own clock."""
    misplaced: set[str] = field(default_factory=set)
    """uids that come from a target which is not that pod, or does not say which pod it is."""


def values(pods: Iterable[str], seconds: float) -> str:
    """The query for the latest value of all series of these pods.

    A range, since a bare selector loses a series at the first scrape that fails.
    """
    return f"last_over_time({{{NAME}=~'scaletune_trial_.+',{_own(pods)}}}[{seconds:.0f}s])"


def times(pods: Iterable[str]) -> str:
    """The query for the times of their last scrapes. Here a failed scrape should be seen."""
    return f"timestamp({Metric.INFO}{{{_own(pods)}}})"


def _own(pods: Iterable[str]) -> str:
    return f"incarnation=~'{'|'.join(pods)}'"


def vector(document: Any) -> list[Series]:
    """The answer to an instant query. Raises ValueError when it is something else."""
    try:
        data = document["data"]
        if data["resultType"] != "vector":
            raise ValueError(f"it is a {data['resultType']}, not a vector")
        return [
            Series(each["metric"], float(each["value"][1]), float(each["value"][0]))
            for each in data["result"]
        ]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"it has not the form of an answer: {error!r}") from None


def sighting(
    found: Iterable[Series], scraped: Iterable[Series], pods: Mapping[str, Pod]
) -> Sighting:
    """What the answers to `values` and `times` say about these pods, by uid."""
    seen = Sighting()
    for target, samples in _by_target(found).items():
        uid = target.labels.get("incarnation", "")
        pod = pods.get(uid)
        if pod is None:
            continue
        if not _is_of(target.labels, pod):
            seen.misplaced.add(uid)
            continue
        try:
            telemetry = from_samples(samples)
        except OtherVersion as error:
            telemetry = Telemetry(uid, refusal=str(error))
        except ForeignTelemetry:
            continue  # not all of its series are there: the pod itself will tell
        seen.telemetry[uid] = later(seen.telemetry.get(uid), telemetry)
    for uid, age in _ages(scraped, pods):
        if uid in seen.telemetry:
            seen.age[uid] = min(age, seen.age.get(uid, age))
    return seen


def later(one: Telemetry | None, other: Telemetry) -> Telemetry:
    """The one that knows more: all series of a life stay until its end, so it knows all."""
    return one if one is not None and one.sequence > other.sequence else other


@dataclass(frozen=True)
class _Target:
    """All labels that the series of one scrape have in common."""

    items: frozenset[tuple[str, str]]

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.items)


def _by_target(found: Iterable[Series]) -> dict[_Target, list[Sample]]:
    """The series of each scrape. The info series has the common labels, and the version."""
    lives: dict[str, list[Series]] = {}
    for each in found:
        lives.setdefault(each.labels.get("incarnation", ""), []).append(each)
    scrapes: dict[_Target, list[Sample]] = {}
    for life in lives.values():
        targets = [_target(each) for each in life if each.labels.get(NAME) == Metric.INFO]
        targets.sort(key=lambda target: -len(target.items))
        for each in life:
            own = each.labels.items()
            of = next((target for target in targets if target.items <= own), None)
            if of is not None:
                sample = Sample(each.labels.get(NAME, ""), dict(each.labels), each.value)
                scrapes.setdefault(of, []).append(sample)
    return scrapes


def _target(info: Series) -> _Target:
    return _Target(frozenset(item for item in info.labels.items() if item[0] not in (NAME, "wire")))


def _is_of(labels: Mapping[str, str], pod: Pod) -> bool:
    return (labels.get("namespace"), labels.get("pod")) == (pod.namespace, pod.name)


def _ages(scraped: Iterable[Series], pods: Mapping[str, Pod]) -> Iterator[tuple[str, float]]:
    for each in scraped:
        uid = each.labels.get("incarnation", "")
        pod = pods.get(uid)
        if pod is not None and _is_of(each.labels, pod):
            yield uid, max(0.0, each.at - each.value)
