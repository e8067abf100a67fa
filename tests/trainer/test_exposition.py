"""Whoever replays a journal learns the same as whoever scrapes the metrics."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.core import Sample
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from scaletune_trainer import wire
from scaletune_trainer.exposition import Identity, families
from scaletune_trainer.record import Record
from scaletune_trainer.wire import Metric
from tests.trainer.lives import QUADRATIC, Trial, wait_until

OWN = Identity("study", "study-0000", "life-1", 1)
LABELS = dict(zip(wire.LABELS, OWN.labels(), strict=True))

steps = st.integers(0, 99)
finite = st.floats(allow_nan=False, allow_infinity=False)
entries = st.one_of(
    st.builds(
        wire.ReportEntry,
        sequence=st.just(1),
        time=st.floats(0, 1e9),
        step=steps,
        generation=st.integers(0, 5),
        values=st.dictionaries(st.sampled_from(["loss", "rate"]), st.floats(), min_size=1),
        device_seconds=st.floats(0, 1e6),
        milestone=st.lists(st.sampled_from([1, 3, 9]), unique=True).map(tuple),
    ),
    st.builds(wire.AcknowledgedEntry, st.just(1), st.floats(0, 1e9), st.integers(0, 5)),
    st.builds(wire.CheckpointEntry, st.just(1), st.floats(0, 1e9), steps),
)


class Shown(Collector):
    def __init__(self, record: Record) -> None:
        self.record = record

    def collect(self) -> Iterable[Family]:
        return families(self.record, OWN, device_seconds=4.0, started=0.0)


def numbered(found: Sequence[wire.Entry]) -> list[wire.Entry]:
    """The same entries with rising sequence numbers, through JSON as in a journal."""
    lines = []
    for sequence, entry in enumerate(found, start=1):
        lines.append(entry.to_json().replace('"sequence":1', f'"sequence":{sequence}', 1))
    return list(wire.entries_of("\n".join(lines) + "\n"))


def record_of(found: Iterable[wire.Entry]) -> Record:
    record = Record("loss")
    for entry in found:
        record.apply(entry)
    return record


def samples(text: str) -> list[Sample]:
    return [s for family in text_string_to_metric_families(text) for s in family.samples]


def scraped(record: Record) -> list[Sample]:
    registry = CollectorRegistry()
    registry.register(Shown(record))
    return samples(generate_latest(registry).decode())


def milestones_of(found: list[Sample]) -> dict[int, tuple[float, int, int, int]]:
    return {
        int(s.labels["milestone"]): (
            s.value,
            int(s.labels["step"]),
            int(s.labels["sequence"]),
            int(s.labels["generation"]),
        )
        for s in found
        if s.name == Metric.MILESTONE_VALUE
    }


@given(st.lists(entries, max_size=25).map(numbered))
def test_the_exposition_shows_the_first_report_of_each_milestone(journal: list[wire.Entry]) -> None:
    expected: dict[int, tuple[float, int, int, int]] = {}
    for entry in journal:
        if isinstance(entry, wire.ReportEntry) and "loss" in entry.values:
            for level in entry.milestone:
                found = (entry.values["loss"], entry.step, entry.sequence, entry.generation)
                expected.setdefault(level, found)

    assert repr(milestones_of(scraped(record_of(journal)))) == repr(dict(sorted(expected.items())))


@given(st.lists(entries, max_size=25).map(numbered))
def test_reading_lines_again_changes_nothing(journal: list[wire.Entry]) -> None:
    once, twice = record_of(journal), record_of([*journal, *journal])

    assert repr(twice) == repr(once)


@given(st.lists(entries, max_size=25).map(numbered))
def test_counters_and_checkpoints_follow_the_journal(journal: list[wire.Entry]) -> None:
    found = {sample.name: sample.value for sample in scraped(record_of(journal))}
    checkpoints = [e.step for e in journal if isinstance(e, wire.CheckpointEntry)]

    assert found[Metric.REPORTS] == sum(isinstance(e, wire.ReportEntry) for e in journal)
    assert found[Metric.SEQUENCE] == len(journal)
    assert found.get(Metric.CHECKPOINT_STEP) == (checkpoints[-1] if checkpoints else None)


def test_every_series_names_its_trial() -> None:
    journal = numbered(
        [
            wire.ReportEntry(1, 5.0, 3, 0, {"loss": math.nan, "rate": -math.inf}, 2.5, (1, 3), 7.0),
            wire.CheckpointEntry(1, 6.0, 3),
            wire.ReplayedEntry(1, 7.0, "life-0", 1),
        ]
    )
    found = scraped(record_of(journal))
    infinite = [s.value for s in found if s.labels.get("metric") == "rate"]

    assert all(LABELS.items() <= sample.labels.items() for sample in found)
    assert {sample.name for sample in found} == set(Metric)
    assert infinite == [-math.inf]


def test_metrics_over_http_say_what_the_journal_says(tmp_path: Path) -> None:
    trial = Trial(tmp_path, max=100_000, milestones=(1, 3, 100_000))
    life = trial.start(
        sys.executable, str(QUADRATIC), "--sleep=0.01", directive=wire.Directive(6, 100_000)
    )
    life.wait_for_step(4)
    found = samples(life.metrics())
    seen = {sample.name: sample.value for sample in found}
    life.direct(wire.Directive(7, 100_000, wire.State.PAUSED))
    ended = life.wait()
    upto = [entry for entry in ended.journal if entry.sequence <= seen[Metric.SEQUENCE]]

    assert repr(milestones_of(found)) == repr(milestones_of(scraped(record_of(upto))))
    assert seen[Metric.ACKNOWLEDGED_GENERATION] == 6
    assert seen[Metric.DEVICE_SECONDS] > 0
    assert Metric.CHECKPOINT_STEP not in seen
    assert sorted(milestones_of(found)) == [1, 3]


def test_reports_that_do_not_fit_are_served_until_they_are_acknowledged(tmp_path: Path) -> None:
    levels = tuple(range(1, 61))
    trial = Trial(tmp_path, max=60, milestones=levels)
    life = trial.start(sys.executable, str(QUADRATIC))
    life.wait_for_step(60)
    wait_until(lambda: life.message_path.exists() and life.message_path.read_text() != "")
    message = wire.TerminationMessage.from_json(life.message_path.read_text())
    lingering = life.process.poll() is None
    found = milestones_of(samples(life.metrics()))
    life.direct(wire.Directive(1, 60, acknowledged=message.sequence))
    ended = life.wait()

    assert message.truncated
    assert lingering
    assert sorted(found) == list(levels)
    assert ended.code == 0
