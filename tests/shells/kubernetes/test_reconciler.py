"""One task per Study at a time, many triggers one look, each error its own back-off."""

import asyncio
from collections.abc import Awaitable, Callable

from scaletune.shells.kubernetes.server.reconciler import (
    BACKOFF_SECONDS_MAX,
    Key,
    LookAgain,
    Reconciler,
    backoff,
)

ONE, OTHER = ("ml", "one"), ("ml", "other")


def _run(
    reconcile: Callable[[Key], Awaitable[float | None]],
    act: Callable[[Reconciler], Awaitable[None]],
) -> None:
    async def main() -> None:
        reconciler = Reconciler(reconcile, concurrency=4)
        await act(reconciler)
        await reconciler.stop()

    asyncio.run(main())


def test_many_triggers_lead_to_one_look() -> None:
    looks: list[Key] = []

    async def reconcile(key: Key) -> None:
        looks.append(key)

    async def act(reconciler: Reconciler) -> None:
        for _ in range(1000):
            reconciler.trigger(ONE)
        await asyncio.sleep(0.02)

    _run(reconcile, act)
    assert looks == [ONE]


def test_a_change_during_a_look_leads_to_another_one_and_never_to_two_at_once() -> None:
    started, release = asyncio.Event(), asyncio.Event()
    inside, most, looks = 0, 0, 0

    async def reconcile(key: Key) -> None:
        nonlocal inside, most, looks
        inside, looks = inside + 1, looks + 1
        most = max(most, inside)
        started.set()
        await release.wait()
        inside -= 1

    async def act(reconciler: Reconciler) -> None:
        reconciler.trigger(ONE)
        await started.wait()
        reconciler.trigger(ONE)
        reconciler.trigger(ONE)
        release.set()
        await asyncio.sleep(0.02)

    _run(reconcile, act)
    assert (looks, most) == (2, 1)


def test_a_study_that_fails_does_not_hold_up_another() -> None:
    looks: list[Key] = []

    async def reconcile(key: Key) -> None:
        looks.append(key)
        if key == ONE:
            raise RuntimeError("broken")

    async def act(reconciler: Reconciler) -> None:
        reconciler.trigger(ONE)
        await asyncio.sleep(0.02)
        reconciler.trigger(OTHER)
        await asyncio.sleep(0.02)

    _run(reconcile, act)
    assert looks == [ONE, OTHER]


def test_a_stale_look_is_repeated_at_once() -> None:
    looks = 0

    async def reconcile(key: Key) -> None:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise LookAgain("somebody else wrote")

    async def act(reconciler: Reconciler) -> None:
        reconciler.trigger(ONE)
        await asyncio.sleep(0.02)

    _run(reconcile, act)
    assert looks == 3


def test_a_look_may_ask_for_the_next_one() -> None:
    looks = 0

    async def reconcile(key: Key) -> float | None:
        nonlocal looks
        looks += 1
        return 0.001 if looks < 3 else None

    async def act(reconciler: Reconciler) -> None:
        reconciler.trigger(ONE)
        await asyncio.sleep(0.2)

    _run(reconcile, act)
    assert looks == 3


def test_back_off_grows_and_is_bounded() -> None:
    assert backoff(1) < backoff(6)
    assert all(0 < backoff(failures) <= BACKOFF_SECONDS_MAX for failures in range(1, 200))
