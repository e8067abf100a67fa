"""Prometheus: instant queries against its HTTP API, with errors that say what to do.

Nothing is retried here and nothing is remembered; who asks has another way to the same facts. An
answer is bounded in time and size. A redirect is not followed: it leads to a login page more often
than to Prometheus, and our token is not for whoever it leads to.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

BYTES_MAX: Final = 16 * 2**20
WORDS_MAX: Final = 300


class PrometheusError(Exception):
    """No answer that can be used: `reason` in one CamelCase word, and what to do next."""

    def __init__(self, reason: str, words: str) -> None:
        self.reason = reason
        super().__init__(words)


@dataclass(frozen=True)
class Prometheus:
    """Where it is, and as whom we ask."""

    url: str
    token_file: Path | None = None
    seconds: float = 5.0

    async def ask(self, session: aiohttp.ClientSession, query: str) -> Any:
        """The JSON that the API answers to an instant query. Raises PrometheusError."""
        try:
            async with session.post(
                f"{self.url.rstrip('/')}/api/v1/query",
                data={"query": query},
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(total=self.seconds),
                allow_redirects=False,
            ) as response:
                body = await _body(response)
        except TimeoutError:
            raise PrometheusError(
                "Slow", f"{self._name} did not answer within {self.seconds:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise PrometheusError(
                "Unreachable",
                f"{self._name} cannot be reached ({type(error).__name__}):"
                " is SCALETUNE_PROMETHEUS_URL right, and is the way open?",
            ) from None
        return self._answer(response.status, body)

    @property
    def _name(self) -> str:
        """The address as it may be shown: it may hold a password."""
        return f"Prometheus at {URL(self.url).with_user(None)}"

    def _headers(self) -> dict[str, str]:
        if self.token_file is None:
            return {}
        try:
            # Read each time: the kubelet replaces it before it expires.
            token = self.token_file.read_text().strip()
        except OSError as error:
            raise PrometheusError(
                "Unauthorized",
                f"the token {self.token_file} cannot be read ({error.strerror}):"
                " is SCALETUNE_PROMETHEUS_TOKEN_FILE right?",
            ) from None
        if not token.isprintable() or not token:
            raise PrometheusError(
                "Unauthorized", f"the token {self.token_file} is empty or not one line of text"
            )
        return {"Authorization": f"Bearer {token}"}

    def _answer(self, status: int, body: bytes) -> Any:
        if status in (401, 403):
            what = "our token" if self.token_file else "us without a token"
            raise PrometheusError(
                "Unauthorized",
                f"{self._name} refuses {what} ({status}): name a file with a valid one in"
                " SCALETUNE_PROMETHEUS_TOKEN_FILE",
            )
        if status in (502, 504):
            raise PrometheusError(
                "Unreachable", f"what stands before {self._name} does not reach it ({status})"
            )
        try:
            document = json.loads(body)
            said = document["status"], document.get("error", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PrometheusError(
                "NotPrometheus",
                f"{self._name} gives an answer ({status}) that is not one of Prometheus:"
                " SCALETUNE_PROMETHEUS_URL must be the address under which /api/v1/query is",
            ) from None
        if said[0] != "success":
            words = f"{self._name} refuses the query ({status}): {said[1]}"
            raise PrometheusError("QueryRefused", words[:WORDS_MAX])
        return document


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BYTES_MAX:
            raise PrometheusError(
                "AnswerTooBig",
                f"Prometheus answers with over {BYTES_MAX // 2**20} MiB: do many jobs scrape the"
                " same pods?",
            )
    return bytes(body)
