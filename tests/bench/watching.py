"""Watching a kind of objects as the operator does, to see when the API server shows what."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from scaletune.shells.kubernetes.server.client import Client, Kind
from tests.cluster.connection import Connection


class Watch:
    """A context manager: `see` is called, in a thread, with each object that appears or changes."""

    def __init__(
        self,
        connection: Connection,
        kind: Kind,
        namespace: str,
        see: Callable[[dict[str, Any]], None],
    ) -> None:
        self._kubeconfig, self._kind, self._namespace = connection.kubeconfig, kind, namespace
        self._see, self._loop = see, asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._has_begun.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        with (
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
        ):
            runner.run(self._follow())

    async def _follow(self) -> None:
        self._task = asyncio.current_task()
        client = await Client.connect(self._kubeconfig)
        try:
            _, version = await client.list(self._kind, self._namespace)
            self._has_begun.set()
            while True:
                async for event, raw in client.watch(self._kind, self._namespace, version):
                    version = raw["metadata"]["resourceVersion"]
                    if event in ("ADDED", "MODIFIED"):
                        self._see(raw)
        finally:
            self._has_begun.set()
            await client.close()
