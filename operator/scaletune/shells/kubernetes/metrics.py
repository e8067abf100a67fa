"""Metrics: what the operator counts about itself, in a registry that belongs to nobody else.

One `Metrics` is made for a process and handed to whoever counts; a test makes its own. More can be
registered in `registry`, such as a collector that reads the mirrored objects when it is asked. What
a trial's own endpoint shows is another matter: that is the trainer's.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from scaletune_trainer import wire

PREFIX: Final = "scaletune_operator"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All that is counted; the attributes are prometheus_client's own counters and gauges."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = CollectorRegistry() if registry is None else registry
        self.reconcile_seconds = Histogram(
            f"{PREFIX}_reconcile_seconds",
            "One look at one study, from the first read to the last write.",
            buckets=SECONDS,
            registry=registry,
        )
        self.reconciles = Counter(
            f"{PREFIX}_reconciles",
            "Looks at a study by result: done, stale (looked again at once) or failed.",
            ["result"],
            registry=registry,
        )
        self.queue_length = Gauge(
            f"{PREFIX}_queue_length", "Studies that wait to be looked at.", registry=registry
        )
        self.plan_failures = Counter(
            f"{PREFIX}_plan_failures", "Plans that ended in an error.", registry=registry
        )
        self.api_requests = Counter(
            f"{PREFIX}_api_requests",
            "Requests to the API server; code 0: no answer came.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self.api_request_seconds = Histogram(
            f"{PREFIX}_api_request_seconds",
            "Requests to the API server, until the answer begins.",
            ["verb"],
            buckets=SECONDS,
            registry=registry,
        )
        self.watch_restarts = Counter(
            f"{PREFIX}_watch_restarts",
            "Watches begun anew by cause: ended (by the server), expired, silent or failed.",
            ["resource", "cause"],
            registry=registry,
        )
        self.report_gaps = Counter(
            f"{PREFIX}_report_gaps",
            "Readings of a running trial that brought nothing: silent, or unreadable.",
            ["cause"],
            registry=registry,
        )
        self.reports_read = Counter(
            f"{PREFIX}_reports_read",
            "Readings of a trial by route: prometheus, direct (the pod's endpoint) or message.",
            ["route"],
            registry=registry,
        )
        self.leader = Gauge(
            f"{PREFIX}_leader",
            "1 while this process may act, 0 while it stands by.",
            registry=registry,
        )
        build = Info(f"{PREFIX}_build", "Which operator this is.", registry=registry)
        build.info({"version": _version(), "wire": str(wire.VERSION)})
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)


def _version() -> str:
    try:
        return version("scaletune")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
