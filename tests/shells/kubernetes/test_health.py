"""An operator is alive while only it can help itself, and ready when it can do its work."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scaletune.shells.kubernetes.process import health
from scaletune.shells.kubernetes.process.health import State
from scaletune.shells.kubernetes.process.lease import Lease
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell
from tests.shells.kubernetes.fake import Cluster
from tests.shells.kubernetes.given import KEY


class _Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _run(act: Callable[[State, _Time], Awaitable[None]]) -> None:
    async def main() -> None:
        time = _Time()
        lease = Lease(Cluster(), "ml", "scaletune", "one", now=time)
        await act(State(lease), time)

    asyncio.run(main())


def _lease(state: State) -> Lease:
    assert isinstance(state.lease, Lease)
    return state.lease


def test_one_that_stands_by_is_alive_and_ready() -> None:
    async def act(state: State, time: _Time) -> None:
        assert [*state.lives(), *state.is_ready()] == []

    _run(act)


def test_one_whose_election_hangs_is_dead() -> None:
    async def act(state: State, time: _Time) -> None:
        time.now += 31
        assert list(state.lives()) == ["the Lease has not been tried for: the election hangs"]
        await _lease(state).look()
        assert list(state.lives()) == []

    _run(act)


def test_one_that_leads_is_ready_once_all_is_in_sight_and_while_its_lease_is_fresh() -> None:
    async def act(state: State, time: _Time) -> None:
        await _lease(state).look()
        state.shell = Shell(Cluster(), Settings())
        assert sorted(state.is_ready()) == [
            f"{kind} are not listed yet" for kind in ("jobs", "pods", "studies", "trials")
        ]
        assert state.is_leading()
        time.now += 11
        assert "the Lease was not renewed in time" in next(iter(state.is_ready()))
        assert not state.is_leading()
        assert list(state.lives()) == []

    _run(act)


def test_a_study_that_waits_for_ever_makes_it_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = asyncio.Event()

    class Hanging(Shell):
        async def reconcile(self, key: tuple[str, str]) -> float | None:
            await hangs.wait()
            return None

    async def act(state: State, time: _Time) -> None:
        state.shell = Hanging(Cluster(), Settings())
        state.shell.reconciler.trigger(KEY)
        await asyncio.sleep(0.05)
        assert list(state.lives()) == []
        monkeypatch.setattr(health, "STUCK_SECONDS", 0.0)
        assert list(state.lives()) == ["the study ml/s has waited for 0 s"]
        await state.shell.stop()

    _run(act)
