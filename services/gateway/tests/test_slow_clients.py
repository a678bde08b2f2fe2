"""Who gives way where slow clients are too many: the rules alone, and a pool that keeps to them. Real servers."""

import asyncio
from typing import Any

import pytest

from cortex_core.chassis import OutOfTime, UpstreamUnavailable
from cortex_core.testing import eventually
from cortex_gateway.adapters.pool import paced, slow
from cortex_gateway.adapters.pool.slow import FLOOR, GRACE, SMALL, Gathering, SlowClients
from cortex_gateway.ports import Departure

from .carrier_server import OK, Hearing, Script, departure, for_ever
from .pool_front import in_front_of


class Client:
    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self.lost = False

    def behind(self, now: float) -> float:
        return now - self.since

    def shed(self) -> None:
        self.lost = True


class LoopWithClock:
    """A loop whose time is told: a machine that stands still makes nobody slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = loop.time()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class TestSlowClients:
    def test_the_one_that_is_furthest_behind_gives_way(self) -> None:
        one, worst, new = Client(0.2), Client(0.1), Client(1.0)
        room = SlowClients(2)
        assert room.enter(one, 0.2)
        assert room.enter(worst, 0.2)
        assert room.enter(new, 1.0)
        assert (one.lost, worst.lost, new.lost, len(room)) == (False, True, False, 2)

    def test_nobody_who_keeps_up_gives_way(self) -> None:
        room = SlowClients(1)
        assert room.enter(Client(), 0.0)
        assert not room.enter(Client(), GRACE / 2)
        assert len(room) == 1

    def test_there_is_room_when_one_leaves(self) -> None:
        room, one = SlowClients(1), Client()
        assert room.enter(one, 0.0)
        room.leave(one)
        assert room.enter(Client(), 0.0)


class TestGathering:
    def test_who_has_come_for_the_longest_gives_way(self) -> None:
        gathering, old, new = Gathering(10), Client(), Client()
        gathering.begin(old)
        gathering.begin(new)
        gathering.grew(8)
        assert not old.lost
        old.shed = lambda: gathering.forget(old, 8)  # type: ignore[method-assign]
        gathering.grew(8)
        assert (gathering.held, new.lost) == (8, False)

    def test_what_is_whole_stays(self) -> None:
        gathering, whole, new = Gathering(10), Client(), Client()
        gathering.begin(whole)
        gathering.grew(8)
        gathering.whole(whole)
        gathering.begin(new)
        gathering.grew(8)
        assert (whole.lost, new.lost) == (False, True)


def post(length: int | None, **given: object) -> Departure:
    return departure(method=b"POST", length=length, **given)


async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a request without a body at once, any other never."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        if b"POST" in head:
            await for_ever()
        writer.write(OK)


def endless(started: list[int]) -> Script:
    """A service with more to say than anybody reads."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        started.append(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    return script


async def lost(hearing: Hearing) -> Exception | None:
    await asyncio.wait_for(hearing.over.wait(), 10)
    return hearing.error


class TestPool:
    async def test_a_body_that_is_gathered_takes_no_place(self) -> None:
        async with in_front_of(reading, connections=1) as front:
            hearing = Hearing()
            exchange = front.pool.begin(post(900), b"begun", hearing)
            assert (front.order.bulkhead.in_use, len(front.order.slow), front.order.gathering.held) == (0, 0, 5)
            exchange.write(b"more")
            assert front.order.gathering.held == 9
            exchange.abort()
            assert front.order.gathering.held == 0

    async def test_a_body_is_held_until_it_is_answered(self) -> None:
        async with in_front_of(reading) as front:
            exchange = front.pool.begin(post(5), b"bod", Hearing())
            exchange.write(b"y!")
            exchange.write_eof()
            assert (front.order.bulkhead.in_use, front.order.gathering.held) == (1, 5)
            exchange.abort()
            assert (front.order.bulkhead.in_use, front.order.gathering.held) == (0, 0)

    async def test_where_bodies_take_all_there_is_the_oldest_is_a_503_and_nothing_is_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slow.Gathering.__init__, "__defaults__", (100,))
        async with in_front_of(reading) as front:
            oldest, other = Hearing(), Hearing()
            exchange = front.pool.begin(post(90), b"x" * 60, oldest)
            second = front.pool.begin(post(90), b"x" * 60, other)
            exchange.write_eof()  # of which nothing comes any more
            assert type(await lost(oldest)) is UpstreamUnavailable
            assert not other.heard
            assert (front.order.gathering.held, front.order.active()) == (60, 0)
            second.abort()

    async def test_a_deadline_ends_what_is_gathered(self) -> None:
        async with in_front_of(reading) as front:
            hearing = Hearing()
            front.pool.begin(post(90, deadline=front.order.loop.time() + 0.02), b"x", hearing)
            assert type(await lost(hearing)) is OutOfTime
            assert front.order.gathering.held == 0

    @pytest.mark.parametrize(("length", "apart"), [(None, 1), (SMALL + 1, 1), (SMALL, 0), (9, 0)])
    async def test_what_streams_counts_apart(self, length: int | None, apart: int) -> None:
        async with in_front_of(reading) as front:
            exchange = front.pool.begin(post(length, streams=True), b"", Hearing())
            assert (front.order.bulkhead.in_use, len(front.order.slow)) == (0, apart)
            exchange.abort()
            assert len(front.order.slow) == 0

    async def test_an_upload_gets_in_for_one_that_is_slower_and_not_for_one_that_keeps_up(self) -> None:
        async with in_front_of(reading, connections=2) as front:
            slowest, third = Hearing(), Hearing()
            front.pool.begin(post(None, streams=True), b"x", slowest)
            await eventually(lambda: front.order.active() == 1)
            assert not front.order.slow.enter(Client(), front.order.loop.time())
            exchange = front.pool.begin(post(None, streams=True), b"x", third)
            assert type(await lost(slowest)) is UpstreamUnavailable
            await eventually(lambda: len(front.order.slow) == 1)
            assert not third.over.is_set()
            exchange.abort()

    async def test_an_upload_that_keeps_up_stays_and_the_next_is_a_503(
        self, monkeypatch: pytest.MonkeyPatch, real_bounds: None
    ) -> None:
        async with in_front_of(reading, connections=2) as front:
            clock = LoopWithClock(front.order.loop)
            monkeypatch.setattr(front.order, "loop", clock)
            fast, refused = Hearing(), Hearing()
            exchange = front.pool.begin(post(None, streams=True), b"x", fast)
            front.pool.begin(post(None, streams=True), b"x", refused)
            while not refused.over.is_set():
                exchange.write(bytes(int(FLOOR * GRACE / 2)))
                clock.now += GRACE / 2
                await asyncio.sleep(0.01)
            assert type(refused.error) is UpstreamUnavailable
            assert not fast.over.is_set()
            exchange.abort()

    async def test_a_reader_that_does_not_take_its_answer_gives_its_place_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (slow, paced):
            monkeypatch.setattr(module, "GRACE", 0.02)
        async with in_front_of(endless([]), connections=4) as front:
            readers = [Hearing() for _ in range(8)]
            for hearing in readers:
                exchange = front.pool.begin(departure(), b"", hearing)
                await eventually(lambda hearing=hearing: hearing.head is not None or hearing.over.is_set())
                exchange.pause_reading()
                await eventually(lambda: front.order.bulkhead.in_use == 0)
            assert len(front.order.slow) == 2
            await eventually(lambda: all(hearing.over.is_set() for hearing in readers[:6]))
            assert [type(hearing.error) for hearing in readers] == [UpstreamUnavailable] * 6 + [type(None)] * 2
            assert all(hearing.head is not None for hearing in readers)

    async def test_a_place_is_kept_until_the_answer_has_begun(self) -> None:
        async with in_front_of(reading) as front:
            exchange = front.pool.begin(post(0), b"", Hearing())
            await eventually(lambda: front.order.active() == 1)
            exchange.pause_reading()
            assert (front.order.bulkhead.in_use, len(front.order.slow)) == (1, 0)
            exchange.abort()
            assert front.order.bulkhead.in_use == 0
