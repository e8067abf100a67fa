"""Of several operators at most one may act, whatever sleeps, dies or is cut off."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from scaletune.shells.kubernetes.process.lease import Lease, LeaseLostError
from scaletune.shells.kubernetes.server.client import (
    LEASE,
    ApiError,
    Client,
    Json,
    Kind,
    NotLeadingError,
)
from tests.shells.kubernetes.fake import Cluster


class _Server(Cluster):
    """The cluster in memory; it can be out of reach, or take a write and not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away, self.loses_answers = False, False

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        self._reach()
        return await super().get(kind, namespace, name)

    async def create(self, kind: Kind, body: Json) -> Json:
        self._reach()
        return await super().create(kind, body)

    async def replace(self, kind: Kind, body: Json, subresource: str = "") -> Json:
        self._reach()
        answer = await super().replace(kind, body, subresource)
        if self.loses_answers:
            raise TimeoutError
        return answer

    def _reach(self) -> None:
        if self.is_away:
            raise ConnectionRefusedError


class _Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _candidate(server: Client, time: _Time, name: str) -> Lease:
    return Lease(server, "ml", "scaletune", name, now=time)


def _run(act: Callable[[_Server, _Time, Lease, Lease], Awaitable[None]]) -> None:
    server, time = _Server(), _Time()
    one, other = _candidate(server, time, "one"), _candidate(server, time, "other")
    asyncio.run(act(server, time, one, other))  # type: ignore[arg-type]


def _holder(server: _Server) -> object:
    [lease] = server.all(LEASE)
    return lease["spec"]["holderIdentity"]


def test_the_first_one_holds_it_and_keeps_it_by_renewing() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        for _ in range(10):
            time.now += 4
            assert await one.look()
            assert not await other.look()
        assert (one.is_held, other.is_held) == (True, False)

    _run(act)


def test_one_that_is_not_renewed_is_taken_over_and_its_holder_may_not_act_long_before() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        assert not await other.look()
        time.now += 11
        assert not one.is_held
        assert not await other.look()
        time.now += 5
        assert await other.look()
        assert other.is_held
        with pytest.raises(LeaseLostError, match="other"):
            await one.look()
        assert not one.is_held

    _run(act)


def test_one_that_is_given_up_is_taken_over_at_the_next_look() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        assert not await other.look()
        await one.release()
        assert not one.is_held
        assert await other.look()
        await one.release()  # and does not take it from its new holder
        assert _holder(server) == "other"

    _run(act)


def test_a_holder_that_finds_its_lease_untouched_after_an_outage_goes_on() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        server.is_away = True
        for _ in range(20):
            time.now += 3
            assert not await one.look()
            assert not await other.look()
        assert not one.is_held
        assert "does not answer" in str(one.problem)
        server.is_away = False
        assert await one.look()
        assert one.is_held

    _run(act)


def test_a_renewal_whose_answer_is_lost_is_still_a_renewal() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        server.loses_answers = True
        assert not await one.look()
        server.loses_answers = False
        time.now += 2
        assert await one.look()
        assert one.is_held

    _run(act)


def test_a_lease_deleted_by_hand_is_made_again_by_whoever_is_first() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        assert await one.look()
        [lease] = server.all(LEASE)
        server.remove(lease["metadata"]["uid"])
        assert await other.look()
        with pytest.raises(LeaseLostError):
            await one.look()

    _run(act)


def test_two_that_reach_for_it_at_once_do_not_both_get_it() -> None:
    async def act(server: _Server, time: _Time, one: Lease, other: Lease) -> None:
        gets = await asyncio.gather(one.look(), other.look())
        assert sorted(gets) == [False, True]

    _run(act)


def test_what_the_server_refuses_is_said_and_tried_again() -> None:
    class Refusing(_Server):
        async def get(self, kind: Kind, namespace: str, name: str) -> Json:
            raise ApiError("GET leases", 403, "Forbidden", "may not get leases")

    async def act() -> None:
        lease = _candidate(Refusing(), _Time(), "one")
        assert not await lease.look()
        assert "may not get leases" in str(lease.problem)
        assert lease.is_alive

    asyncio.run(act())


def test_nothing_is_sent_by_one_who_may_not_write() -> None:
    async def act() -> None:
        configuration = Configuration()
        configuration.host = "http://127.0.0.1:9"  # nobody listens there
        client = Client(ApiClient(configuration)).fenced(lambda: False)
        try:
            with pytest.raises(NotLeadingError, match="not sent"):
                await client.create(LEASE, {"metadata": {"namespace": "ml", "name": "s"}})
            with pytest.raises(OSError, match=r"127.0.0.1:9"):
                await client.get(LEASE, "ml", "s")
        finally:
            await client.close()

    asyncio.run(act())
