"""What Prometheus keeps of a trial says the same as the trial itself, and for no other pod."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from scaletune.core.reports import Telemetry, from_exposition
from scaletune.shells.kubernetes.hearing.series import Series, Sighting, sighting, vector
from scaletune.shells.kubernetes.seen.views import Pod, read_pod
from scaletune_trainer import wire
from scaletune_trainer.exposition import Identity, families
from scaletune_trainer.record import Record
from tests.shells.kubernetes.given import raw_pod

NOW = 1000.0
TARGET = {"namespace": "ml", "pod": "s-0000-a1-0-abcde", "job": "trials", "instance": "10.0.0.9:1"}

entries = st.one_of(
    st.builds(
        wire.ReportEntry,
        sequence=st.just(1),
        time=st.floats(0, 1e9),
        step=st.integers(0, 99),
        generation=st.integers(0, 5),
        values=st.dictionaries(st.sampled_from(["loss", "rate"]), st.floats(), min_size=1),
        device_seconds=st.floats(0, 1e6),
        milestone=st.lists(st.sampled_from([1, 3, 9]), unique=True).map(tuple),
    ),
    st.builds(wire.AcknowledgedEntry, st.just(1), st.floats(0, 1e9), st.integers(0, 5)),
    st.builds(wire.CheckpointEntry, st.just(1), st.floats(0, 1e9), st.integers(0, 99)),
)


def _record(found: Iterable[wire.Entry]) -> Record:
    """What a journal with these entries, numbered in their order, comes to."""
    record = Record("loss")
    for sequence, entry in enumerate(found, start=1):
        text = entry.to_json().replace('"sequence":1', f'"sequence":{sequence}', 1)
        record.apply(wire.entry_from_json(text))
    return record


def _text(record: Record, uid: str = "pod-uid", wire_version: int = wire.VERSION) -> str:
    """What the endpoint of a trainer serves."""

    class Shown(Collector):
        def collect(self) -> Iterable[Family]:
            identity = Identity("s", "s-0000", uid, 1)
            return families(record, identity, device_seconds=4.0, started=0.0)

    registry = CollectorRegistry()
    registry.register(Shown())
    text = generate_latest(registry).decode()
    return text.replace(f'wire="{wire.VERSION}"', f'wire="{wire_version}"')


def _kept(text: str, **target: str) -> list[Series]:
    """The same as Prometheus has it: with the target's labels, and without empty ones."""
    return [
        Series(
            {name: value for name, value in labels.items() if value},
            sample.value,
            NOW,
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for labels in [{"__name__": sample.name, **sample.labels, **TARGET, **target}]
    ]


def _times(kept: Sequence[Series], ago: float) -> list[Series]:
    """When the info series was last scraped; the function drops its name."""
    return [
        Series({k: v for k, v in each.labels.items() if k != "__name__"}, NOW - ago, NOW)
        for each in kept
        if each.labels["__name__"] == wire.Metric.INFO
    ]


def _pods(*pods: Pod) -> dict[str, Pod]:
    return {pod.uid: pod for pod in pods or (read_pod(raw_pod()),)}


def _seen(*scrapes: tuple[list[Series], float], pods: dict[str, Pod] | None = None) -> Sighting:
    """What comes of scrapes of so many seconds ago."""
    found = [each for kept, _ in scrapes for each in kept]
    times = [each for kept, ago in scrapes for each in _times(kept, ago)]
    return sighting(found, times, pods or _pods())


def _words(telemetry: Telemetry) -> str:
    """NaN is not equal to itself, and the order of metrics means nothing."""
    return repr(replace(telemetry, metrics=dict(sorted(telemetry.metrics.items()))))


@given(st.lists(entries, max_size=8), st.data())
def test_through_prometheus_a_trial_says_what_it_says_itself(
    said: list[wire.Entry], data: st.DataObject
) -> None:
    text = _text(_record(said))

    seen = _seen((data.draw(st.permutations(_kept(text))), 3.0))

    assert _words(seen.telemetry["pod-uid"]) == _words(from_exposition(text))
    assert seen.age == {"pod-uid": 3.0}
    assert seen.misplaced == set()


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=4), st.booleans())
def test_of_two_jobs_that_scrape_one_pod_the_one_counts_that_knows_more(
    said: list[wire.Entry], later: list[wire.Entry], is_reversed: bool
) -> None:
    old, new = _text(_record(said)), _text(_record([*said, *later]))
    scrapes = [(_kept(old), 9.0), (_kept(new, job="others", replica="b"), 2.0)]

    seen = _seen(*(reversed(scrapes) if is_reversed else scrapes))

    assert seen.telemetry["pod-uid"].sequence == len(said) + len(later)
    if later:
        assert _words(seen.telemetry["pod-uid"]) == _words(from_exposition(new))
    assert seen.age == {"pod-uid": 2.0}


def test_a_series_from_another_pods_target_does_not_count() -> None:
    """The address was given to another pod, or somebody else serves the series."""
    text = _text(_record([]))
    for target in ({"pod": "s-0001-a1-0-xyz"}, {"namespace": "others"}, {"pod": ""}):
        seen = _seen((_kept(text, **target), 1.0))

        assert (seen.telemetry, seen.age) == ({}, {})
        assert seen.misplaced == {"pod-uid"}


def test_a_series_of_an_incarnation_that_is_no_pod_of_ours_does_not_count() -> None:
    """A Study deleted and created again has pods of the same names, and other uids."""
    text = _text(_record([]), uid="of-an-older-study")

    seen = _seen((_kept(text), 1.0))

    assert seen == Sighting()


def test_a_trainer_of_another_release_is_refused_in_words() -> None:
    seen = _seen((_kept(_text(_record([]), wire_version=2)), 1.0))

    assert "use a trainer image of the same release" in seen.telemetry["pod-uid"].refusal
    assert seen.age == {"pod-uid": 1.0}


def test_a_pod_without_a_recent_scrape_has_no_age() -> None:
    kept = _kept(_text(_record([])))

    seen = sighting(kept, [], _pods())

    assert seen.telemetry.keys() == {"pod-uid"}
    assert seen.age == {}


def test_an_answer_that_is_no_vector_is_refused() -> None:
    wrong: list[Any] = [
        [],
        {},
        {"data": {"resultType": "matrix", "result": []}},
        {"data": {"resultType": "vector", "result": [{"metric": {}}]}},
        {"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "much"]}]}},
    ]
    for document in wrong:
        with pytest.raises(ValueError, match=r"form|matrix|much"):
            vector(document)


def test_values_that_json_does_not_have_are_read() -> None:
    values = ["NaN", "+Inf", "-Inf", "0.5"]
    result = [{"metric": {"a": "b"}, "value": [1.5, value]} for value in values]

    found = vector({"data": {"resultType": "vector", "result": result}})

    assert [str(each.value) for each in found] == ["nan", "inf", "-inf", "0.5"]
