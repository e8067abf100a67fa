"""Studies: kopf's watch of them, in a thread with an event loop of its own.

kopf takes every task of its loop for its own, and the process's signals too; apart from ours, it
can do neither, and when it gives up (it does so on errors that it cannot retry) it is simply begun
anew. It keeps no state of ours: no change handlers (each costs an annotation and a write per
change), no timers or daemons, no finalizers. What it sees is delivered to our own loop.
"""

import asyncio
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import kopf

from scaletune.api.model import GROUP, VERSION
from scaletune.api.study import Study
from scaletune.shells.kubernetes.server.client import STUDY, Client, Json, words
from scaletune.shells.kubernetes.server.reconciler import Key, backoff
from scaletune.shells.kubernetes.server.reflector import Source, Store, listed

log = logging.getLogger(__name__)

Event = Callable[[str | None, Json], None]

LONG_SECONDS: Final = 300.0


class StudyWatch:
    """Keeps the store of Studies like the API server, and says which have changed.

    kopf does not tell what was deleted while its watch was broken. So all are also listed by our
    own client: at first, and whenever there is a doubt.
    """

    def __init__(
        self,
        client: Client,
        namespaces: Sequence[str],
        store: Store[Study],
        changed: Callable[[Key], None],
    ) -> None:
        self._client, self._namespaces = client, namespaces
        self._store, self._changed = store, changed
        self._doubt, self._listed = asyncio.Event(), asyncio.Event()
        self._unlisted: str | None = "studies are not listed yet"
        self._unwatched: str | None = None

    @property
    def problem(self) -> str | None:
        """Why Studies are out of sight, in words; None while they are watched."""
        return self._unlisted or self._unwatched

    def doubt(self) -> None:
        """Other watches have missed something: this one may have, too."""
        self._doubt.set()

    async def run(self) -> None:
        """List and watch for ever; end kopf when cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._list_again_and_again())
            tasks.create_task(self._watch_again_and_again())

    async def _list_again_and_again(self) -> None:
        failures = 0
        while True:
            pause = None
            try:
                await self._list()
                failures, self._unlisted = 0, None
            except Exception as error:
                failures += 1
                pause = max(backoff(failures), getattr(error, "retry_after", 0.0))
                self._unlisted = _said(self._unlisted, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), pause)
            self._doubt.clear()

    async def _list(self) -> None:
        for namespace in self._namespaces or [""]:
            touched, _ = await listed(self._client, Source(STUDY, namespace), self._store)
            for key in touched:
                self._changed(key)
        self._listed.set()

    async def _watch_again_and_again(self) -> None:
        failures = 0
        await self._listed.wait()  # else there would be nothing for kopf to watch
        while True:
            begin = time.monotonic()
            watching = _Thread(self._namespaces, self._take)
            watching.start()
            try:
                self._unwatched = None
                error = await watching.ended or RuntimeError("the watch has ended")
            finally:
                watching.stop()
            failures = 1 if time.monotonic() - begin > LONG_SECONDS else failures + 1
            self._unwatched = _said(self._unwatched, error)
            await asyncio.sleep(backoff(failures))
            self.doubt()

    def _take(self, event: str | None, raw: Json) -> None:
        key = self._store.remove(raw) if event == "DELETED" else self._store.put(raw)
        if key is not None:
            self._changed(key)


def _said(before: str | None, error: BaseException) -> str:
    """What is wrong, in words, which are told once."""
    problem = f"studies are out of sight: {words(error)}"
    log.log(logging.DEBUG if problem == before else logging.WARNING, "%s", problem)
    return problem


class _Thread(threading.Thread):
    """One life of kopf; `ended` is why it is over."""

    def __init__(self, namespaces: Sequence[str], take: Event) -> None:
        super().__init__(name="studies", daemon=True)
        self._namespaces, self._take = namespaces, take
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._ours = asyncio.get_running_loop()
        self.ended: asyncio.Future[BaseException | None] = self._ours.create_future()

    def run(self) -> None:
        error: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as fault:
            error = fault
        self._tell(self._end, error)

    def stop(self) -> None:
        """Let it end; nobody waits for it, since it only reads."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def _end(self, error: BaseException | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    async def _serve(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            # kopf would ask for the name of a user that a container need not have.
            identity=socket.gethostname(),  # type: ignore[arg-type]
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        kopf.on.startup(registry=registry)(_start)
        kopf.on.event(GROUP, VERSION, STUDY.plural, registry=registry)(self._event)
        return registry

    async def _event(self, event: kopf.RawEvent, **_: Any) -> None:
        """A Study appeared, changed or went away."""
        self._tell(self._take, event["type"], dict(event["object"]))

    def _tell(self, what: Callable[..., None], *words: Any) -> None:
        """Call something in our own loop, while there is one."""
        with suppress(RuntimeError):  # closed: the process is about to end
            self._ours.call_soon_threadsafe(what, *words)


def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """As the pod's service account, or by KUBECONFIG: the same as our own client."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


async def _start(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.queueing.idle_timeout = 0.2
    settings.watching.server_timeout = random.randint(270, 300)  # it takes whole seconds
    settings.networking.enforce_retry_after = True
    settings.networking.connect_timeout = 10
