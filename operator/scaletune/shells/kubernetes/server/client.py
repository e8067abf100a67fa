"""The API server, as little of it as we need: plain JSON in and out, errors that say what to do.

The official `kubernetes` package does credentials, TLS and connections; its typed models are left
alone, because they refuse objects of others that are perfectly fine. Nothing is retried here: who
calls is level-triggered and tries again from a fresh look, which is the only safe way after a 409.
An error says how long the server wants to be left alone.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import incluster_config

from scaletune.api.model import API_VERSION
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.server.calls import called

Json = dict[str, Any]

PAGE: Final = 500
CONNECTIONS: Final = 32
"""To the API server at once; each takes a quarter of a megabyte."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
WATCH_SECONDS: Final = 290
# Bookmarks come about every minute: a watch that is silent for longer is dead.
WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=100)
LOG_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)  # a script may be silent


@dataclass(frozen=True)
class Kind:
    """A kind of resource, and where it lives."""

    api_version: str
    name: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of a collection (all namespaces: ""), of an object or of a part of it."""
        root = (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )
        parts = [root, *(["namespaces", namespace] if namespace else []), self.plural]
        return "/".join(part for part in (*parts, name, subresource) if part)


STUDY: Final = Kind(API_VERSION, "Study", "studies")
TRIAL: Final = Kind(API_VERSION, "Trial", "trials")
JOB: Final = Kind("batch/v1", "Job", "jobs")
POD: Final = Kind("v1", "Pod", "pods")
SERVICE: Final = Kind("v1", "Service", "services")
EVENT: Final = Kind("v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")


class ApiError(Exception):
    """The API server said no, or could not answer."""

    retry_after: float = 0.0
    """How many seconds the server wants to be left alone."""

    def __init__(self, what: str, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(f"{what}: {status} {reason}: {message}")


class ConflictError(ApiError):
    """Somebody wrote in between, or the object is already there: look again."""


class MissingError(ApiError):
    """The object is not there."""


class RefusedError(ApiError):
    """The object is not acceptable or not allowed; sending it again changes nothing."""


class ExpiredError(ApiError):
    """What the watch asks for is older than what the server remembers: list again."""


class NotLeadingError(Exception):
    """Nothing was sent: we may not write any more, or not until our Lease is renewed."""


EXPECTED: Final = (ApiError, NotLeadingError, aiohttp.ClientError, OSError)
"""What is no bug: it is told in words, without a traceback, and tried again."""

_ERRORS: Final = {
    400: RefusedError,
    403: RefusedError,
    404: MissingError,
    409: ConflictError,
    410: ExpiredError,
    422: RefusedError,
}


def error_of(what: str, code: int, body: object) -> ApiError:
    """The error that a Status object of the API server stands for."""
    status = body if isinstance(body, dict) else {}
    kind = _ERRORS.get(code, ApiError)
    return kind(what, code, str(status.get("reason", "")), str(status.get("message", body)))


def words(error: BaseException) -> str:
    """What went wrong, and what to do about it."""
    remedies = {
        401: "its token is not accepted",
        403: "grant it what the chart's templates/_rules.tpl lists",
        404: "apply the CRDs",
    }
    if isinstance(error, ApiError):
        remedy = remedies.get(error.status)
        return f"{error}; {remedy}" if remedy else str(error)
    if isinstance(error, aiohttp.ClientError | OSError):
        return f"the API server does not answer: {error!r}"
    return repr(error)


class Page(NamedTuple):
    """Some objects of a list, and the version that a watch of all of them goes on from."""

    items: list[Json]
    version: str


class Client:
    """A connection to the API server, as whoever the environment says that we are."""

    def __init__(
        self,
        api: ApiClient,
        metrics: Metrics | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api, self._may_write = api, may_write
        self._metrics = metrics or Metrics()

    @classmethod
    async def connect(
        cls,
        kubeconfig: Path | None = None,
        metrics: Metrics | None = None,
        context: str | None = None,
        watches: int = 0,
    ) -> Self:
        """Connect as the pod's service account; outside a cluster, or when given, by kubeconfig.

        `watches` is how many requests will never end: they need connections of their own.
        """
        settings, file = Configuration(), None if kubeconfig is None else str(kubeconfig)
        settings.connection_pool_maxsize = CONNECTIONS + watches
        is_chosen = kubeconfig is not None or context is not None
        if not is_chosen and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
            settings.refresh_api_key_hook = _reread  # type: ignore[assignment]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                file, context, client_configuration=settings, persist_config=False
            )
        return cls(ApiClient(settings), metrics)

    def fenced(self, may_write: Callable[[], bool]) -> "Client":
        """The same connection; each write asks first, and raises NotLeadingError on a no."""
        return Client(self._api, self._metrics, may_write)

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        return await self._json("GET", kind.path(namespace, name))

    async def create(self, kind: Kind, body: Json) -> Json:
        return await self._json("POST", kind.path(body["metadata"]["namespace"]), body)

    async def rehearse(self, kind: Kind, body: Json) -> None:
        """Ask whether an object could be made, unknown fields forbidden, without making it."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        await self._json("POST", kind.path(body["metadata"]["namespace"]), body, query)

    async def warnings(self, namespace: str, uid: str) -> list[Json]:
        """The Events of type Warning about an object."""
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning", "limit": str(PAGE)}
        page = await self._json("GET", EVENT.path(namespace), query=query)
        return page.get("items") or []

    async def replace(self, kind: Kind, body: Json, subresource: str = "") -> Json:
        """Write an object (or its status) if it still has the resourceVersion in `body`."""
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        return await self._json("PUT", path, body)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        path, content = kind.path(namespace, name), "application/merge-patch+json"
        return await self._json("PATCH", path, patch, content=content)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object, and in the background what it owns."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._json("DELETE", kind.path(namespace, name), options)

    async def list(self, kind: Kind, namespace: str, selector: str = "") -> tuple[list[Json], str]:
        """All objects, and the version that a watch goes on from."""
        pages = [page async for page in self.pages(kind, namespace, selector)]
        return [item for page in pages for item in page.items], pages[-1].version

    async def pages(self, kind: Kind, namespace: str, selector: str = "") -> AsyncIterator[Page]:
        """The same, some hundred at a time: ten thousand at once take more memory than all else."""
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._json("GET", kind.path(namespace), query=query)
            yield Page(page.get("items") or [], page["metadata"]["resourceVersion"])
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def log(
        self, namespace: str, pod: str, container: str, *, follow: bool
    ) -> AsyncIterator[bytes]:
        """What a container has printed, in pieces; with `follow`, until it ends."""
        path = POD.path(namespace, pod, "log")
        query = {"container": container, "follow": "true" if follow else "false"}
        async with await self._send("GET", path, query=query, timeout=LOG_TIMEOUT) as response:
            if response.status != 200:
                raise error_of(f"GET {path}", response.status, await _body(response))
            async for piece in response.content.iter_any():
                yield piece

    async def watch(
        self, kind: Kind, namespace: str, version: str, selector: str = ""
    ) -> AsyncIterator[tuple[str, Json]]:
        """Changes since a version, until the server ends the watch. Raises ExpiredError."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        } | ({"labelSelector": selector} if selector else {})
        path = kind.path(namespace)
        async with await self._send("GET", path, query=query, timeout=WATCH_TIMEOUT) as response:
            if response.status != 200:
                raise await _error(f"watch {path}", response)
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_of(f"watch {path}", int(status.get("code", 0)), status)
                yield event["type"], event["object"]

    async def _json(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
    ) -> Json:
        async with await self._send(method, path, body, query, content) as response:
            if response.status >= 300:
                raise await _error(f"{method} {path}", response)
            document = await _body(response)
            return document if isinstance(document, dict) else {}

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> aiohttp.ClientResponse:
        if method != "GET" and not self._may_write():
            raise NotLeadingError(f"{method} {path}: not sent, the Lease was not renewed in time")
        address = f"{path}?{urlencode(query)}" if query else path
        request = await self._api.param_serialize(
            method,
            address,
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        (verb, resource), begin, code = called(method, path, query or {}), time.monotonic(), 0
        try:
            answer = await self._api.call_api(
                *request, _preload_content=False, _request_timeout=timeout
            )
            response: aiohttp.ClientResponse = answer.response
            code = response.status
            return response
        finally:
            self._metrics.api_requests.labels(verb, resource, str(code)).inc()
            self._metrics.api_request_seconds.labels(verb).observe(time.monotonic() - begin)


def _reread(settings: Configuration) -> None:
    """The token as it is now: the kubelet replaces it before it runs out."""
    token = Path(incluster_config.SERVICE_TOKEN_FILENAME).read_text().strip()
    settings.api_key["BearerToken"] = f"Bearer {token}"


async def _error(what: str, response: aiohttp.ClientResponse) -> ApiError:
    error = error_of(what, response.status, await _body(response))
    with suppress(ValueError):  # it may also be a date, which no API server sends
        error.retry_after = float(response.headers.get("Retry-After", 0.0))
    return error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines, however long: aiohttp's own iteration ends at 128 KiB."""
    begun = b""
    async for chunk in content.iter_any():
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            yield line


async def _body(response: aiohttp.ClientResponse) -> object:
    text = await response.text()
    try:
        return json.loads(text)
    except ValueError:
        return text[:500]
