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
        self.registry = registry or CollectorRegistry()
        self._describe_process()
        self.leader = self._gauge("leader", "1 while this process may act, 0 while it stands by.")
        self.queue_length = self._gauge("queue_length", "Studies that wait to be looked at.")
        self.reconcile_seconds = self._histogram("reconcile_seconds", "One look at one study.")
        self.reconciles = self._counter(
            "reconciles", "By result: done, stale (looked again at once) or failed.", "result"
        )
        self.plan_failures = self._counter("plan_failures", "Plans that ended in an error.")
        self.api_requests = self._counter(
            "api_requests",
            "Requests to the API server; code 0: no answer came.",
            *("verb", "resource", "code"),
        )
        self.api_request_seconds = self._histogram(
            "api_request_seconds", "Requests to the API server, until the answer begins.", "verb"
        )
        self.watch_restarts = self._counter(
            "watch_restarts",
            "Watches begun anew by cause: ended (by the server), expired, silent or failed.",
            *("resource", "cause"),
        )
        self.reports_read = self._counter(
            "reports_read",
            "Readings of a trial by route: prometheus, direct (the pod's endpoint) or message.",
            "route",
        )
        self.report_gaps = self._counter(
            "report_gaps", "Readings of a running trial that failed: silent, unreadable.", "cause"
        )

        self.prometheus_queries = self._counter(
            "prometheus_queries",
            "Questions to Prometheus by result: Answered, or why there was no answer.",
            "result",
        )
        self.prometheus_pods = self._gauge(
            "prometheus_pods",
            "Running trials of which Prometheus has a fresh sample; others are read directly.",
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", words, registry=self.registry)

    def _histogram(self, name: str, words: str, *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", words, labels, buckets=SECONDS, registry=self.registry)

    def _describe_process(self) -> None:
        build = Info(f"{PREFIX}_build", "Which operator this is.", registry=self.registry)
        build.info({"version": _version(), "wire": str(wire.VERSION)})
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)


def _version() -> str:
    try:
        return version("scaletune")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
