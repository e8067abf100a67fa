"""Whatever answers under the address of Prometheus is told in words, and soon."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from scaletune.shells.kubernetes.hearing import prometheus
from scaletune.shells.kubernetes.hearing.prometheus import Prometheus, PrometheusError
from scaletune.shells.kubernetes.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}


async def _ask(answer: Handler, user: str, token_file: Path | None, seconds: float) -> object:
    application = web.Application()
    application.router.add_post("/prefix/api/v1/query", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    asked = Prometheus(f"http://{user}{host}:{port}/prefix/", token_file, seconds)
    try:
        async with aiohttp.ClientSession() as session:
            return await asked.ask(session, "vector(1)")
    finally:
        await runner.cleanup()


def _refusal(
    answer: Handler, user: str = "", token_file: Path | None = None, seconds: float = 60
) -> PrometheusError:
    with pytest.raises(PrometheusError) as refusal:
        asyncio.run(_ask(answer, user, token_file, seconds))
    return refusal.value


def _always(status: int, text: str, content: str = "text/html") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content)

    return answer


def test_the_question_and_the_token_arrive(tmp_path: Path) -> None:
    token, seen = tmp_path / "token", []
    token.write_text("let-me-in\n")

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(((await request.post())["query"], request.headers["Authorization"]))
        return web.json_response(EMPTY)

    assert asyncio.run(_ask(answer, "", token, 60)) == EMPTY
    assert seen == [("vector(1)", "Bearer let-me-in")]


@pytest.mark.parametrize(
    ("status", "text", "reason", "remedy"),
    [
        (401, "Unauthorized", "Unauthorized", "a valid one in SCALETUNE_PROMETHEUS_TOKEN_FILE"),
        (403, "Forbidden", "Unauthorized", "a valid one in SCALETUNE_PROMETHEUS_TOKEN_FILE"),
        (502, "Bad Gateway", "Unreachable", r"does not reach it \(502\)"),
        (404, "not found", "NotPrometheus", "the address under which /api/v1/query is"),
        (200, "<html>Please log in</html>", "NotPrometheus", "SCALETUNE_PROMETHEUS_URL must be"),
        (302, "see there", "NotPrometheus", "SCALETUNE_PROMETHEUS_URL must be"),
        (200, '"success"', "NotPrometheus", "SCALETUNE_PROMETHEUS_URL must be"),
        (503, '{"status":"error","error":"too many"}', "QueryRefused", r"\(503\): too many"),
    ],
)
def test_an_answer_that_is_none_says_what_to_do(
    status: int, text: str, reason: str, remedy: str
) -> None:
    refusal = _refusal(_always(status, text), user="somebody:secret@")

    assert refusal.reason == reason
    with pytest.raises(PrometheusError, match=remedy):
        raise refusal
    assert "secret" not in str(refusal)


def test_a_redirect_does_not_carry_the_token_elsewhere(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("let-me-in")

    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:1/login")

    assert _refusal(answer, token_file=token).reason == "NotPrometheus"


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "BYTES_MAX", 10_000)

    assert _refusal(_always(200, "[" * 20_000)).reason == "AnswerTooBig"


def test_a_slow_one_is_not_waited_for() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError("it was waited for")

    assert _refusal(answer, seconds=0.2).reason == "Slow"


def test_one_that_does_not_listen_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def ask() -> object:
            async with aiohttp.ClientSession() as session:
                return await Prometheus(url).ask(session, "vector(1)")

        with pytest.raises(PrometheusError, match="is SCALETUNE_PROMETHEUS_URL right"):
            asyncio.run(ask())


@pytest.mark.parametrize("content", [None, "", "two\nlines"])
def test_a_token_that_cannot_be_sent_is_told(tmp_path: Path, content: str | None) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)

    refusal = _refusal(_always(200, "{}"), token_file=token)

    assert refusal.reason == "Unauthorized"
    assert str(token) in str(refusal)


def test_settings_name_the_variable_that_is_wrong() -> None:
    for url in ("prometheus:9090", "ftp://prometheus", "http:///x"):
        with pytest.raises(ValueError, match="SCALETUNE_PROMETHEUS_URL must be"):
            Settings.of({"SCALETUNE_PROMETHEUS_URL": url})
    with pytest.raises(ValueError, match="a user in SCALETUNE_PROMETHEUS_URL or a token, not both"):
        Settings.of(
            {
                "SCALETUNE_PROMETHEUS_URL": "http://a:b@prometheus",
                "SCALETUNE_PROMETHEUS_TOKEN_FILE": "/token",
            }
        )


def test_without_an_address_no_prometheus_is_asked() -> None:
    assert Settings.of({}).prometheus is None
