"""Reflector: a mirror of the API server's objects of one kind, by list and watch.

A watch whose connection breaks goes on from the last version seen. Where the server cannot tell
what has happened since (410), or says no, the store is *replaced* by a fresh list, so what was
deleted meanwhile is gone here too. The server's answers to our own writes enter the store at once,
and an older version never takes the place of a newer one: nobody plans on data that is older than
its own writes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.server.client import (
    ApiError,
    Client,
    ExpiredError,
    Json,
    Kind,
    words,
)
from scaletune.shells.kubernetes.server.reconciler import Key, backoff

T = TypeVar("T")

log = logging.getLogger(__name__)

TOMBSTONES_MAX: Final = 10_000
SHORT_SECONDS: Final = 1.0
"""A watch that ends sooner is not begun again at once."""


@dataclass(frozen=True)
class _Entry(Generic[T]):
    key: Key
    version: int
    value: T


class Store(Generic[T]):
    """Objects by uid, grouped by the Study that they belong to.

    `read` reduces an object to what we need; what it cannot read is said and left out.
    """

    def __init__(self, read: Callable[[Json], T], key_of: Callable[[Json], Key | None]) -> None:
        self._read, self._key_of = read, key_of
        self._entries: dict[str, _Entry[T]] = {}
        self._groups: dict[Key, dict[str, _Entry[T]]] = {}
        self._unread: dict[str, int] = {}  # versions by uid that cannot be read
        self._deleted: dict[str, int] = {}  # versions by uid, oldest first: no late answer revives

    def of(self, key: Key) -> list[T]:
        """All objects of a Study."""
        return [entry.value for entry in self._groups.get(key, {}).values()]

    def groups(self) -> list[Key]:
        """The Studies that have objects here."""
        return list(self._groups)

    def put(self, raw: Json) -> Key | None:
        """Take an object in, unless a newer version of it is here; whose it is."""
        uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        old, key = self._entries.get(uid), self._key_of(raw)
        known = self._deleted.get(uid, 0) if old is None else old.version
        if key is None or known >= version:
            return key
        try:
            value = self._read(raw)
        except ValueError as error:
            name = raw["metadata"].get("name")
            if self._unread.get(uid) != version:
                log.error("cannot read %s: %s", name, error, extra={"study": key[1]})
            self._unread[uid] = version
            return key
        self._unread.pop(uid, None)
        self._forget(uid)
        entry = _Entry(key, version, value)
        self._entries[uid] = entry
        self._groups.setdefault(key, {})[uid] = entry
        return key

    def is_read(self, uid: str) -> bool:
        """Whether the latest version of an object that was seen could be read."""
        return uid not in self._unread

    def remove(self, raw: Json) -> Key | None:
        """Take an object out; whose it was."""
        uid = raw["metadata"]["uid"]
        self._unread.pop(uid, None)
        self._deleted[uid] = int(raw["metadata"]["resourceVersion"])
        if len(self._deleted) > TOMBSTONES_MAX:
            del self._deleted[next(iter(self._deleted))]
        return self._forget(uid)

    def retain(self, listed: Set[str], version: int, namespace: str = "") -> set[Key]:
        """Forget (of a namespace) what was not listed and is not newer than the list; whose."""
        touched = set()
        for uid, entry in list(self._entries.items()):
            is_meant = not namespace or entry.key[0] == namespace
            if is_meant and uid not in listed and entry.version <= version:
                touched.add(self._forget(uid))
        return {key for key in touched if key is not None}

    def _forget(self, uid: str) -> Key | None:
        entry = self._entries.pop(uid, None)
        if entry is None:
            return None
        group = self._groups[entry.key]
        del group[uid]
        if not group:
            del self._groups[entry.key]
        return entry.key


@dataclass(frozen=True)
class Source:
    """Which objects are mirrored."""

    kind: Kind
    namespace: str = ""
    selector: str = ""


async def listed(client: Client, source: Source, store: Store[T]) -> tuple[set[Key], str]:
    """Make a store like the API server: whose objects are or were in it, and the list's version.

    What is not on the list and not newer than it is gone.
    """
    touched: set[Key | None] = set()
    uids: set[str] = set()
    async for page in client.pages(source.kind, source.namespace, source.selector):
        touched.update(map(store.put, page.items))
        uids.update(raw["metadata"]["uid"] for raw in page.items)
        version = page.version
    touched |= store.retain(uids, int(version), source.namespace)
    return {key for key in touched if key is not None}, version


class Reflector(Generic[T]):
    """Keeps a store like the API server, and says whose objects change."""

    def __init__(
        self,
        client: Client,
        source: Source,
        store: Store[T],
        changed: Callable[[Key], None],
        metrics: Metrics | None = None,
        listed: Callable[[], None] = lambda: None,
    ) -> None:
        self._client, self._source, self._store, self._changed = client, source, store, changed
        self._listed = listed
        self._restarts = (metrics or Metrics()).watch_restarts
        self._version: str | None = None  # that the next watch goes on from; None: list first
        self.synced = asyncio.Event()
        self.problem: str | None = f"{source.kind.plural} are not listed yet"
        """Why the objects are out of sight, in words; None while they are watched."""

    @property
    def name(self) -> str:
        """Which objects, for people."""
        where = f" of {self._source.namespace}" if self._source.namespace else ""
        return f"{self._source.kind.plural}{where}"

    async def run(self) -> None:
        """List and watch for ever."""
        failures = 0
        while True:
            try:
                begin = time.monotonic()
                await self._follow()
                self._count("ended")
                if time.monotonic() - begin > SHORT_SECONDS:
                    failures = 0
                    continue
            except ExpiredError as error:
                self._version = None
                self._count("expired")
                log.info("%s; listing again", error)
            except Exception as error:
                self._fail(error)
                failures = 0 if self._was_watching(begin) else failures
                await asyncio.sleep(getattr(error, "retry_after", 0.0))
            failures += 1
            await asyncio.sleep(backoff(failures))

    def _was_watching(self, begin: float) -> bool:
        return self._version is not None and time.monotonic() - begin > SHORT_SECONDS

    async def _follow(self) -> None:
        """List if we must, and watch until the server ends it."""
        source = self._source
        if self._version is None:
            await self._list()
        assert self._version is not None
        async for event, raw in self._client.watch(
            source.kind, source.namespace, self._version, source.selector
        ):
            self._version = raw["metadata"]["resourceVersion"]
            self.problem = None
            if event == "BOOKMARK":
                continue
            key = self._store.remove(raw) if event == "DELETED" else self._store.put(raw)
            if key is not None:
                self._changed(key)
        self.problem = None

    async def _list(self) -> None:
        touched, version = await listed(self._client, self._source, self._store)
        for key in touched:
            self._changed(key)
        self._version, self.problem = version, None
        self.synced.set()
        self._listed()

    def _fail(self, error: Exception) -> None:
        """After a broken connection the watch goes on; what the server refuses is listed anew."""
        if isinstance(error, ApiError):
            self._version = None
        self._count("silent" if isinstance(error, TimeoutError) else "failed")
        problem = f"{self.name} are out of sight: {words(error)}"
        # A watch that is merely begun anew is no news, and the same news is not told again.
        level = logging.DEBUG if problem == self.problem else logging.WARNING
        self.problem = problem
        log.log(level, "%s", problem)

    def _count(self, cause: str) -> None:
        self._restarts.labels(self._source.kind.plural, cause).inc()
