"""The metrics of a trial, made from its journal at the moment they are asked for.

Served by PID 1, so that they outlive the workers. Milestones are sticky: each keeps its own series
until the process ends, so that any later scrape sees all of them. Read-only, plain HTTP.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scaletune_trainer import wire
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.failure import VolumeError
from scaletune_trainer.journal import JournalReader
from scaletune_trainer.record import Record
from scaletune_trainer.wire import Metric as Name

_LOOPBACK = "127.0.0.1"
_HELP = {
    Name.METRIC: "The latest value of each metric that the script reported.",
    Name.STEP: "The latest step of which anything is known.",
    Name.MILESTONE_VALUE: "The objective at each milestone reached; stays until the process ends.",
    Name.MILESTONE_DEVICE_SECONDS: "Device time spent when the milestone was reached.",
    Name.MILESTONE_COST: "What the script says that training has cost at the milestone.",
    Name.REPORTS: "Reports in the journal.",
    Name.SEQUENCE: "The highest sequence number in the journal.",
    Name.HEARTBEAT: "When the script last made progress, in seconds since the epoch.",
    Name.CHECKPOINT_STEP: "The step of the last complete checkpoint.",
    Name.ACKNOWLEDGED_GENERATION: "The generation of the directive that is being followed.",
    Name.DEVICE_SECONDS: "Worker processes times seconds since the start.",
    Name.REPLAYED: "The last checkpoint of an earlier life whose journal was read; -1 for none.",
    Name.INFO: "The version of the trial protocol.",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose metrics these are."""

    study: str
    trial: str
    incarnation: str
    attempt: int

    def labels(self) -> list[str]:
        return [self.study, self.trial, self.incarnation, str(self.attempt)]


def families(
    record: Record, identity: Identity, device_seconds: float, started: float
) -> Iterator[Metric]:
    """The exposition of a record: the same record always gives the same series."""
    own = identity.labels()

    def gauge(name: Name, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, _HELP[name], labels=wire.LABELS)
        family.add_metric(own, value)
        return family

    info = GaugeMetricFamily(Name.INFO, _HELP[Name.INFO], labels=[*wire.LABELS, "wire"])
    info.add_metric([*own, str(wire.VERSION)], 1)
    yield info
    values = GaugeMetricFamily(Name.METRIC, _HELP[Name.METRIC], labels=[*wire.LABELS, "metric"])
    for name, value in record.values.items():
        values.add_metric([*own, name], value)
    yield values
    yield from _milestones(record, own)
    reports = CounterMetricFamily(Name.REPORTS, _HELP[Name.REPORTS], labels=wire.LABELS)
    reports.add_metric(own, record.reports)
    yield reports
    yield gauge(Name.STEP, record.step)
    yield gauge(Name.SEQUENCE, record.sequence)
    yield gauge(Name.HEARTBEAT, max(record.time, started))
    if record.checkpoint is not None:
        yield gauge(Name.CHECKPOINT_STEP, record.checkpoint)
    replayed = GaugeMetricFamily(Name.REPLAYED, _HELP[Name.REPLAYED], labels=[*wire.LABELS, "of"])
    for incarnation, checkpoint in record.replayed.items():
        replayed.add_metric([*own, incarnation], -1 if checkpoint is None else checkpoint)
    yield replayed
    yield gauge(Name.ACKNOWLEDGED_GENERATION, record.generation)
    yield gauge(Name.DEVICE_SECONDS, device_seconds)


def _milestones(record: Record, own: list[str]) -> Iterator[Metric]:
    values = GaugeMetricFamily(
        Name.MILESTONE_VALUE,
        _HELP[Name.MILESTONE_VALUE],
        labels=[*wire.LABELS, "milestone", "step", "sequence", "generation", "of"],
    )
    seconds = GaugeMetricFamily(
        Name.MILESTONE_DEVICE_SECONDS,
        _HELP[Name.MILESTONE_DEVICE_SECONDS],
        labels=[*wire.LABELS, "milestone"],
    )
    costs = GaugeMetricFamily(
        Name.MILESTONE_COST, _HELP[Name.MILESTONE_COST], labels=[*wire.LABELS, "milestone"]
    )
    for level, report in sorted(record.milestones.items()):
        numbers = (level, report.step, report.sequence, report.generation)
        of = "" if report.origin is None else str(report.origin)
        values.add_metric([*own, *map(str, numbers), of], report.value)
        seconds.add_metric([*own, str(level)], report.device_seconds)
        if report.cost is not None:
            costs.add_metric([*own, str(level)], report.cost)
    yield values
    yield seconds
    if costs.samples:
        yield costs


class Exposition(Collector):
    """Reads the journal's news, then exposes all of it: one scrape is one consistent view."""

    def __init__(self, reader: JournalReader, identity: Identity, clock: DeviceClock) -> None:
        self._reader = reader
        self._identity = identity
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        with self._reader.lock:
            self._reader.refresh()
            seconds, started = self._clock.device_seconds(), self._clock.started
            return iter(list(families(self._reader.record, self._identity, seconds, started)))


def serve(exposition: Exposition, port: int, endpoint: Path) -> None:
    """Listen, then say where. A free port (0) is for this machine only, a given one for all."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exposition)
    if port == 0:
        address = f"{_LOOPBACK}:{_listen(registry, _LOOPBACK, port)}"
    else:
        try:
            bound = _listen(registry, "::", port)  # both families, where there are both
        except OSError:
            bound = _listen_or_explain(registry, port)
        address = f"{socket.gethostname()}:{bound}"
    write_atomically(endpoint, address + "\n")


def _listen_or_explain(registry: CollectorRegistry, port: int) -> int:
    try:
        return _listen(registry, "0.0.0.0", port)
    except OSError as error:
        raise PortError(
            f"cannot serve metrics on port {port}: {error.strerror}. With hostNetwork two trials "
            "cannot share a node's port"
        ) from error


def _listen(registry: CollectorRegistry, address: str, port: int) -> int:
    server, _ = start_http_server(port, addr=address, registry=registry)
    return int(server.server_port)


class PortError(Exception):
    """The metrics port cannot be had."""


def write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise VolumeError(
            f"cannot write {path}: {error.strerror or error}. "
            "Is the checkpoint volume full, read-only or gone?"
        ) from error
