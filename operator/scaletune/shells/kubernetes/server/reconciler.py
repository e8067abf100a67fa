"""Reconciler: one coalescing task per key, so that each Study has a single writer.

A trigger only marks a key as dirty. The mark is cleared before the world is looked at, so a change
that comes in between leads to another look; a thousand changes lead to one or two. An error backs
off with jitter, each key for itself. There is no queue of events: what happened does not matter,
only what is.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.server.client import EXPECTED

Key = tuple[str, str]
"""Namespace and name of a Study."""

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = 0.25
BACKOFF_SECONDS_MAX: Final = 30.0


class LookAgain(Exception):
    """What was seen is out of date: reconcile again at once."""


class Reconciler:
    """Calls `reconcile(key)` for each key that was triggered, never twice at once for one key.

    What it returns is in how many seconds it wants to look again; None when it need not.
    """

    def __init__(
        self,
        reconcile: Callable[[Key], Awaitable[float | None]],
        concurrency: int,
        metrics: Metrics | None = None,
    ) -> None:
        self._reconcile = reconcile
        self._metrics = metrics or Metrics()
        self._places = asyncio.Semaphore(concurrency)
        self._dirty: dict[Key, float] = {}  # since when
        self._begun: dict[Key, float] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def trigger(self, key: Key) -> None:
        """Look at this key soon."""
        self._mark(key)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(key), name="/".join(key))

    def trigger_in(self, key: Key, seconds: float) -> None:
        """Look at this key after a while; the next look sets the timer anew."""
        self._cancel_timer(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self.trigger, key)

    def oldest(self) -> tuple[Key, float]:
        """The key that has waited or has been looked at for longest, and for how many seconds."""
        found = min(
            [*self._dirty.items(), *self._begun.items()], key=lambda each: each[1], default=None
        )
        return (("", ""), 0.0) if found is None else (found[0], time.monotonic() - found[1])

    def is_dirty(self, key: Key) -> bool:
        """Whether another look at this key is due."""
        return key in self._dirty

    async def stop(self) -> None:
        """End everything, and wait until it has."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key) -> None:
        failures = 0
        try:
            while key in self._dirty:
                try:
                    async with self._places:
                        self._clear(key)
                        again = await self._measured(key)
                    failures = 0
                    if again is not None:
                        self.trigger_in(key, again)
                except LookAgain as stale:
                    log.debug("looking again: %s", stale, extra=_extra(key))
                    self._mark(key)
                except Exception as error:
                    failures += 1
                    pause = max(backoff(failures), getattr(error, "retry_after", 0.0))
                    _tell(key, error, pause)
                    self._clear(key)  # it does not wait for us while it backs off
                    await asyncio.sleep(pause)
                    self._mark(key)
        finally:
            del self._tasks[key]

    async def _measured(self, key: Key) -> float | None:
        begin, result = time.monotonic(), "failed"
        self._begun[key] = begin
        try:
            again = await self._reconcile(key)
            result = "done"
            return again
        except LookAgain:
            result = "stale"
            raise
        finally:
            del self._begun[key]
            self._metrics.reconcile_seconds.observe(time.monotonic() - begin)
            self._metrics.reconciles.labels(result).inc()

    def _mark(self, key: Key) -> None:
        self._dirty.setdefault(key, time.monotonic())
        self._metrics.queue_length.set(len(self._dirty))

    def _clear(self, key: Key) -> None:
        self._dirty.pop(key, None)
        self._metrics.queue_length.set(len(self._dirty))
        self._cancel_timer(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def backoff(failures: int) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter, bounded."""
    most = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2.0 ** min(failures, 16))
    return most * random.uniform(0.5, 1)


def _tell(key: Key, error: Exception, pause: float) -> None:
    level = logging.WARNING if isinstance(error, EXPECTED) else logging.ERROR
    log.log(level, "failed; again in %.1f s", pause, exc_info=error, extra=_extra(key))


def _extra(key: Key) -> dict[str, str]:
    return {"namespace": key[0], "study": key[1]}
