"""Lease: of several operators one may act, by a Lease of coordination.k8s.io.

Times are those of client-go. A holder may act for `act_seconds` from the moment at which it *sent*
its last successful renewal; others may take over when the Lease has not changed for `seconds` by
their own clock. No clock of another machine is believed. The clock goes on while the process, or
the whole machine, is asleep: who wakes up late knows it before the first write.

A Lease is no fence, since a request may be on its way while time runs out: each write carries the
resourceVersion that it was planned on, and that is the fence.

A holder that cannot reach the API server waits: it may not act, and neither can anybody take over.
If the Lease is still its own afterwards, nobody has acted in between, and it goes on. Only one that
finds another's name in it has lost, and its process ends.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import ClientError

from scaletune.shells.kubernetes.server.client import (
    LEASE,
    ApiError,
    Client,
    ConflictError,
    Json,
    MissingError,
)

log = logging.getLogger(__name__)

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system can say so."""
    return time.clock_gettime(_CLOCK)


class LeaseLostError(RuntimeError):
    """Somebody else holds the Lease."""


@dataclass(frozen=True)
class Terms:
    """How long things last."""

    seconds: int = 15
    """How long others leave a Lease alone that does not change."""
    act_seconds: float = 10.0
    """How long its holder may act after a renewal; less, for clocks that differ in speed."""
    renew_seconds: float = 2.0
    """How often it is renewed, and how long one try may take."""
    look_seconds: float = 1.0
    """How often others look, so that one that was given up is taken over in a second."""


class Always:
    """No election: the only operator may always act."""

    is_held = True
    is_alive = True
    problem: str | None = None

    async def acquire(self) -> None:
        """Nothing to wait for."""

    async def keep(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Nothing to give up."""


@dataclass
class Lease:
    """One candidate's view of the Lease. `identity` is a process's own, never used again."""

    client: Client
    namespace: str
    name: str
    identity: str
    terms: Terms = field(default_factory=Terms)
    now: Callable[[], float] = clock

    def __post_init__(self) -> None:
        self.problem: str | None = None
        """Why the Lease cannot be read or written, in words."""
        self._tried = self.now()
        self._own: Json | None = None
        """The Lease as we last wrote it; None while we do not hold it."""
        self._renewed = 0.0
        self._seen: tuple[str, float] = "", 0.0

    @property
    def is_held(self) -> bool:
        """Whether we may act now."""
        return self._own is not None and self.now() - self._renewed < self.terms.act_seconds

    @property
    def is_alive(self) -> bool:
        """Whether we still try, however it ends."""
        return self.now() - self._tried < 2 * self.terms.seconds

    async def acquire(self) -> None:
        """Wait until we hold it."""
        while not await self.look():
            await asyncio.sleep(_jittered(self.terms.look_seconds))

    async def keep(self) -> None:
        """Renew it for ever. Raises LeaseLostError once somebody else holds it."""
        while True:
            await asyncio.sleep(_jittered(self.terms.renew_seconds))
            await self.look()

    async def look(self) -> bool:
        """One try to get or renew it; whether it has succeeded. Raises LeaseLostError."""
        return await self._try(self._step)

    async def release(self) -> None:
        """Give it up, so that nobody has to wait until it runs out."""
        if self._own is not None:
            await self._try(self._give_up)

    async def _try(self, step: Callable[[], Any]) -> bool:
        """One step; what goes wrong is said once, and tried again by the caller."""
        problem, done = None, False
        try:
            async with asyncio.timeout(2 * self.terms.renew_seconds):
                done = bool(await step())
        except ConflictError:
            pass  # somebody was faster: the next look says who
        except ApiError as error:
            problem = f"the Lease {self.namespace}/{self.name}: {error}"
        except (ClientError, OSError) as error:
            problem = f"the API server does not answer: {error!r}"
        if problem is not None and self.problem is None:
            log.warning("%s", problem)
        self.problem, self._tried = problem, self.now()
        return done

    async def _step(self) -> bool:
        if self._own is not None:
            begin = self.now()
            try:
                await self._write(self._own, begin)
                return True
            except (ConflictError, MissingError):
                pass  # changed by somebody: see by whom
        return await self._look()

    async def _look(self) -> bool:
        begin = self.now()
        try:
            raw = await self.client.get(LEASE, self.namespace, self.name)
        except MissingError:
            await self._create(begin)
            return True
        holder = raw["spec"].get("holderIdentity") or ""
        if holder == self.identity:  # an answer to our own write was lost, or an annotation added
            await self._write(raw, begin)
            return True
        if self._own is not None:
            self._own = None
            raise LeaseLostError(f"the Lease {self.namespace}/{self.name} is held by {holder!r}")
        if holder and not self._has_run_out(raw):
            return False
        raw["spec"]["acquireTime"] = _timestamp()
        raw["spec"]["leaseTransitions"] = int(raw["spec"].get("leaseTransitions") or 0) + 1
        await self._write(raw, begin)
        return True

    def _has_run_out(self, raw: Json) -> bool:
        """Whether it has not changed for as long as its holder asked for, by our own clock."""
        version, now = raw["metadata"]["resourceVersion"], self.now()
        if self._seen[0] != version:
            self._seen = version, now
        lasts = float(raw["spec"].get("leaseDurationSeconds") or self.terms.seconds)
        return now - self._seen[1] > lasts

    async def _create(self, begin: float) -> None:
        self._own = await self.client.create(
            LEASE,
            {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.name,
                "metadata": {"namespace": self.namespace, "name": self.name},
                "spec": self._terms() | {"acquireTime": _timestamp(), "leaseTransitions": 0},
            },
        )
        self._renewed = begin

    async def _write(self, raw: Json, begin: float) -> None:
        body = {**raw, "spec": raw["spec"] | self._terms()}
        self._own = await self.client.replace(LEASE, body)
        self._renewed = begin

    async def _give_up(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            given_up = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _timestamp()}
            await self.client.replace(LEASE, {**own, "spec": own["spec"] | given_up})

    def _terms(self) -> Json:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.terms.seconds,
            "renewTime": _timestamp(),
        }


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.2)


def _timestamp() -> str:
    """MicroTime, for people to read."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
