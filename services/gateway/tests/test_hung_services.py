"""A service that takes connections and says nothing: found out by asking it, and then nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from cortex_core.chassis import UpstreamUnavailable
from cortex_core.testing import eventually
from cortex_gateway.adapters import sockets
from cortex_gateway.adapters.pool import alive, connection, verdict
from cortex_gateway.adapters.sockets import Sockets
from cortex_gateway.ports import Call
from cortex_gateway.routes import Service

from .carrier_server import OK, Hearing, carry, departure
from .pool_front import Front, counting, in_front_of

OPENING = Call(Service.ORDER, "GET", "/ws", (), None, 60.0, deadline_sent=True)


class Standing:
    """A service that stands still until `go_on`; `lives`: it does so for requests alone, and says that it is there."""

    def __init__(self, *, lives: bool = False) -> None:
        self.go_on = asyncio.Event()
        self.lives = lives
        self.requests = self.questions = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = b"/health/live" in await reader.readuntil(b"\r\n\r\n")
            self.questions += asked
            self.requests += not asked
            if not (asked and self.lives):
                await self.go_on.wait()
            writer.write(OK)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "PATIENCE", 0.04)
    for module in (connection, verdict, sockets):
        monkeypatch.setattr(module, "SUSPECT", 0.02)


def hung(front: Front) -> Callable[[], bool]:
    return lambda: front.order.replicas.all[0].hung


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_after_the_first_caller_nobody_waits_until_it_is_there_again(stack: AsyncExitStack) -> None:
    service, first = Standing(), Hearing()
    front = await stack.enter_async_context(in_front_of(service))
    front.pool.begin(departure(timeout=60.0), b"", first)
    await eventually(hung(front))

    refused = [await carry(front.pool, timeout=60.0, method=method) for method in (b"GET", b"POST") for _ in range(20)]

    for hearing in refused:
        assert isinstance(hearing.error, UpstreamUnavailable)
        assert (hearing.error.message, hearing.error.attempted) == (
            "the order service is not there now (it says nothing)",
            False,
        )
    assert service.requests == 1
    assert not first.over.is_set()  # it may be there again in time
    assert front.order.outstanding() == front.order.bulkhead.in_use == 1
    assert front.figure("cortex_upstream_ejections_total") == 1

    service.go_on.set()
    await asyncio.wait_for(first.over.wait(), 5)
    assert first.body == b"{}"
    assert (await carry(front.pool)).body == b"{}"


async def test_it_is_asked_until_it_speaks_and_no_caller_is_needed_for_that(stack: AsyncExitStack) -> None:
    service = Standing()
    front = await stack.enter_async_context(in_front_of(service))
    await carry(front.pool, timeout=0.03)
    await eventually(lambda: hung(front)() and service.questions >= 3)

    service.go_on.set()
    await eventually(lambda: not hung(front)())

    assert service.requests == 1
    assert (await carry(front.pool)).body == b"{}"


async def test_one_that_is_slow_and_lives_is_waited_for(stack: AsyncExitStack) -> None:
    service, first = Standing(lives=True), Hearing()
    front = await stack.enter_async_context(in_front_of(service))
    front.pool.begin(departure(timeout=60.0), b"", first)
    await eventually(lambda: service.questions >= 3)  # it is asked again, and not all the time

    assert not hung(front)()
    service.go_on.set()
    await asyncio.wait_for(first.over.wait(), 5)
    assert first.body == b"{}"
    assert front.figure("cortex_upstream_ejections_total") == 0


async def test_beside_another_what_may_be_sent_twice_goes_there(stack: AsyncExitStack) -> None:
    service, seen = Standing(), list[int]()
    front = await stack.enter_async_context(in_front_of(service, counting(OK, seen, 1)))
    hearings = [await carry(front.pool, timeout=60.0, retry=True) for _ in range(20)]

    assert {hearing.body for hearing in hearings} == {b"{}"}
    assert service.requests == 1
    assert front.order.outstanding() == front.order.bulkhead.in_use == 0
    assert front.metrics.value("cortex_circuit_breaker_state", name="order") == 0


async def test_an_opening_finds_out_and_is_refused_alike(stack: AsyncExitStack) -> None:
    service = Standing()
    front = await stack.enter_async_context(in_front_of(service))
    opener = await stack.enter_async_context(Sockets(front.pool).opened())

    async def opened() -> None:
        async with opener.connect(OPENING, [], []):
            pass

    first = asyncio.create_task(opened())
    await eventually(hung(front))
    with pytest.raises(UpstreamUnavailable, match="says nothing"):
        await opened()

    first.cancel()
    await asyncio.wait({first})
    assert (service.requests, front.order.outstanding()) == (1, 0)


async def test_one_whose_name_leads_elsewhere_is_not_asked_for_ever(stack: AsyncExitStack) -> None:
    service = Standing()
    front = await stack.enter_async_context(in_front_of(service))
    await carry(front.pool, timeout=0.03)
    await eventually(hung(front))
    replica = front.order.replicas.all[0]

    front.order.replicas.become([])

    await eventually(lambda: not replica.asked)


@pytest.mark.parametrize("says", [b"x", b""], ids=["something", "goodbye"])
async def test_whatever_is_said_is_a_sign_of_life(says: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)

    async with in_front_of(script) as front:
        assert await alive.speaks(front.order.replicas.all[0].address, None)


async def test_one_that_is_not_there_is_not_silent() -> None:
    async with in_front_of("http://127.0.0.1:1") as front:
        assert await alive.speaks(front.order.replicas.all[0].address, None)


async def test_silence_is_silence(black_hole: str) -> None:
    async with in_front_of(Standing(), black_hole) as front:
        for replica in front.order.replicas.all:
            assert not await alive.speaks(replica.address, None)
