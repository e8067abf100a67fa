"""What an API server may answer besides the truth, by a small one on loopback that answers so.

The real one is asked in the cluster tests; these answers cannot be ordered from it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import incluster_config

from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.seen.snapshot import Stores
from scaletune.shells.kubernetes.server import client as client_module
from scaletune.shells.kubernetes.server.client import TRIAL, ApiError, Client, Json
from scaletune.shells.kubernetes.server.reconciler import Reconciler
from scaletune.shells.kubernetes.server.reflector import Reflector, Source
from tests.shells.kubernetes.given import KEY, raw_trial

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def _server(answer: Answer) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes([web.route("*", "/{path:.*}", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _connected(answer: Answer, metrics: Metrics) -> AsyncIterator[Client]:
    async with _server(answer) as address:
        configuration = Configuration()
        configuration.host = address
        client = Client(ApiClient(configuration), metrics)
        try:
            yield client
        finally:
            await client.close()


def _listed(version: int, *trials: Json) -> web.Response:
    return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": list(trials)})


async def _streamed(request: web.Request, *events: Json) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for event in events:
        await response.write(json.dumps(event).encode() + b"\n")
    return response


async def _mirrored(answer: Answer, until: Callable[[Stores, Metrics], bool]) -> Stores:
    """What a reflector has made of the answers when something holds."""
    metrics, stores = Metrics(), Stores()
    async with _connected(answer, metrics) as client:
        source = Source(TRIAL, "ml")
        reflector = Reflector(client, source, stores.trials, lambda _: None, metrics)
        mirror = asyncio.create_task(reflector.run())
        async with asyncio.timeout(60):
            while not until(stores, metrics):
                await asyncio.sleep(0.01)
        mirror.cancel()
        await asyncio.gather(mirror, return_exceptions=True)
    return stores


def _restarts(metrics: Metrics, cause: str) -> float:
    name, labels = "scaletune_operator_watch_restarts_total", {"resource": "trials", "cause": cause}
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_after_a_410_what_is_not_listed_any_more_is_gone() -> None:
    lists = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        if "watch" not in request.query:
            lists += 1
            one, other = raw_trial(0, version=1), raw_trial(1, version=1)
            return _listed(5, one, other) if lists == 1 else _listed(9, other)
        if lists > 1:
            await asyncio.sleep(60)
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        return await _streamed(request, {"type": "ERROR", "object": status})

    def is_over(stores: Stores, metrics: Metrics) -> bool:
        return _restarts(metrics, "expired") == 1 and len(stores.trials.of(KEY)) == 1

    stores = asyncio.run(_mirrored(answer, is_over))
    assert [trial.index for trial in stores.trials.of(KEY)] == [1]


def test_a_watch_that_is_silent_for_too_long_is_begun_anew_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = aiohttp.ClientTimeout(total=None, sock_read=0.2)
    monkeypatch.setattr(client_module, "WATCH_TIMEOUT", silent)
    versions: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return _listed(5)
        versions.append(request.query["resourceVersion"])
        changed = {"type": "ADDED", "object": raw_trial(0, version=6)}
        response = await _streamed(request, *([changed] if len(versions) == 1 else []))
        await asyncio.sleep(60)  # neither an event nor an end
        return response

    stores = asyncio.run(_mirrored(answer, lambda _, metrics: _restarts(metrics, "silent") >= 2))
    assert versions[:2] == ["5", "6"]
    assert len(stores.trials.of(KEY)) == 1


def test_a_watch_that_is_refused_does_not_list_without_a_pause() -> None:
    lists = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        if "watch" in request.query:
            return web.json_response({"message": "cannot watch", "code": 403}, status=403)
        lists += 1
        return _listed(5)

    asyncio.run(_mirrored(answer, lambda _, metrics: _restarts(metrics, "failed") >= 4))
    assert lists <= 5  # at 0.1, 0.3, 0.6, 1.1 s or later: each pause is longer than the one before


def test_an_event_of_any_size_is_read() -> None:
    big = raw_trial(0, version=6)
    big["metadata"]["annotations"] = {"words": "x" * 300_000}

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return _listed(5)
        response = await _streamed(request, {"type": "ADDED", "object": big})
        await asyncio.sleep(60)
        return response

    asyncio.run(_mirrored(answer, lambda stores, _: len(stores.trials.of(KEY)) == 1))


def test_a_server_that_wants_to_be_left_alone_is_left_alone() -> None:
    answers: list[float] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        answers.append(asyncio.get_running_loop().time())
        if len(answers) == 1:
            return web.json_response({}, status=429, headers={"Retry-After": "2"})
        return _listed(5)

    async def run() -> None:
        metrics = Metrics()
        async with _connected(answer, metrics) as client:

            async def reconcile(_: tuple[str, str]) -> None:
                await client.list(TRIAL, "ml")

            reconciler = Reconciler(reconcile, 1, metrics)
            reconciler.trigger(KEY)
            async with asyncio.timeout(60):
                while len(answers) < 2:
                    await asyncio.sleep(0.01)
            await reconciler.stop()

    asyncio.run(run())
    assert answers[1] - answers[0] >= 2


def test_an_error_says_how_long_to_wait() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="upstream is gone", status=503, headers={"Retry-After": "7"})

    async def run() -> ApiError:
        async with _connected(answer, Metrics()) as client:
            with pytest.raises(ApiError, match="upstream is gone") as refused:
                await client.list(TRIAL, "ml")
            return refused.value

    assert asyncio.run(run()).retry_after == 7


def test_in_a_pod_each_request_brings_the_token_as_it_is_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token, certificate, brought = tmp_path / "token", tmp_path / "ca.crt", []
    token.write_text("first\n")
    certificate.write_text("unused: the server of this test speaks plain HTTP")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    monkeypatch.setattr(client_module, "ApiClient", _plain)

    async def answer(request: web.Request) -> web.StreamResponse:
        brought.append(request.headers["Authorization"])
        return _listed(5)

    async def run() -> None:
        async with _server(answer) as address:
            host, port = address.removeprefix("http://").split(":")
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
            client = await Client.connect()
            await client.list(TRIAL, "ml")
            token.write_text("second\n")
            await client.list(TRIAL, "ml")
            await client.close()

    asyncio.run(run())
    assert [words.split() for words in brought] == [["Bearer", "first"], ["Bearer", "second"]]


def _plain(configuration: Configuration) -> ApiClient:
    configuration.host = configuration.host.replace("https:", "http:")
    configuration.ssl_ca_cert = None
    return ApiClient(configuration)


def test_watches_of_many_namespaces_take_no_connection_from_the_rest(tmp_path: Path) -> None:
    watches, begun = 3 * 40, 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal begun
        if "watch" not in request.query:
            return _listed(5)
        begun += 1
        return await _silent(request)

    async def watch(client: Client) -> None:
        async for _ in client.watch(TRIAL, "ml", "1"):
            pass

    async def run() -> list[Json]:
        async with _server(answer) as address:
            kubeconfig = tmp_path / "config"
            kubeconfig.write_text(json.dumps(_kubeconfig(address)))
            client = await Client.connect(kubeconfig, watches=watches)
            watching = [asyncio.create_task(watch(client)) for _ in range(watches)]
            try:
                async with asyncio.timeout(60):
                    while begun < watches:
                        await asyncio.sleep(0.01)
                    return (await client.list(TRIAL, "ml"))[0]
            finally:
                for each in watching:
                    each.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
                await client.close()

    assert asyncio.run(run()) == []


async def _silent(request: web.Request) -> web.StreamResponse:
    response = await _streamed(request)
    await asyncio.sleep(120)
    return response


def _kubeconfig(address: str) -> Json:
    named = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": address}}],
        "users": [{"name": "test", "user": {"token": "any"}}],
        "contexts": [named],
        "current-context": "test",
    }
