"""The operator counts what it does, in a registry of its own, and shows it on one port."""

import asyncio

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.process.probes import Health, serving
from scaletune.shells.kubernetes.server.calls import called
from scaletune.shells.kubernetes.server.reconciler import LookAgain, Reconciler

KEY = ("ml", "s")
HEALTHY = Health(lives=list, is_ready=list)


async def _page(port: int, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/{path}") as response,
    ):
        return response.status, await response.text()


def test_two_operators_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.leader.set(1)

    name = "scaletune_operator_leader"
    assert one.registry.get_sample_value(name) == 1
    assert other.registry.get_sample_value(name) == 0


def test_what_others_register_is_on_the_same_page() -> None:
    metrics = Metrics()
    Gauge("scaletune_study_best", "The best so far.", registry=metrics.registry).set(0.25)

    async def read() -> tuple[int, str]:
        async with serving(metrics.registry, HEALTHY, port=0) as port:
            return await _page(port, "metrics")

    status, text = asyncio.run(read())
    assert status == 200
    assert "scaletune_study_best 0.25" in text
    assert 'scaletune_operator_build_info{version="' in text
    assert "process_resident_memory_bytes" in text


def test_a_probe_says_in_words_what_is_wrong() -> None:
    faults: list[str] = []

    async def read() -> list[tuple[int, str]]:
        health = Health(lives=list, is_ready=lambda: faults)
        async with serving(CollectorRegistry(), health, port=0) as port:
            before = await _page(port, "readyz")
            faults.append("trials are out of sight: 403 Forbidden")
            return [before, await _page(port, "readyz"), await _page(port, "livez")]

    assert asyncio.run(read()) == [
        (200, "ok"),
        (503, "trials are out of sight: 403 Forbidden"),
        (200, "ok"),
    ]


def test_reconciles_are_counted_by_their_result() -> None:
    metrics = Metrics()
    faults = iter([LookAgain("stale"), ValueError("a bug"), None])

    async def reconcile(_: tuple[str, str]) -> None:
        fault = next(faults)
        if fault is not None:
            raise fault

    async def run() -> None:
        reconciler = Reconciler(reconcile, 1, metrics)
        reconciler.trigger(KEY)
        while metrics.registry.get_sample_value(name, {"result": "done"}) is None:
            await asyncio.sleep(0.01)

    name = "scaletune_operator_reconciles_total"
    asyncio.run(run())
    counts = [metrics.registry.get_sample_value(name, {"result": r}) for r in ("stale", "failed")]
    assert counts == [1, 1]
    assert metrics.registry.get_sample_value("scaletune_operator_reconcile_seconds_count") == 3
    assert metrics.registry.get_sample_value("scaletune_operator_queue_length") == 0


@pytest.mark.parametrize(
    ("method", "path", "query", "name"),
    [
        ("GET", "/api/v1/pods", {"watch": "true"}, ("watch", "pods")),
        ("GET", "/api/v1/namespaces/ml/pods", {}, ("list", "pods")),
        ("GET", "/apis/batch/v1/namespaces/ml/jobs/a", {}, ("get", "jobs")),
        ("POST", "/apis/batch/v1/namespaces/ml/jobs", {}, ("create", "jobs")),
        ("PUT", "/apis/x.dev/v1/namespaces/ml/trials/a/status", {}, ("update", "trials/status")),
        ("GET", "/api/v1/namespaces/ml", {}, ("get", "namespaces")),
    ],
)
def test_a_request_is_called_as_rbac_calls_it(
    method: str, path: str, query: dict[str, str], name: tuple[str, str]
) -> None:
    assert called(method, path, query) == name
