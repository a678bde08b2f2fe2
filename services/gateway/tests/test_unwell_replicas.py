"""Replicas beside good ones that fail, or take their time: what that costs callers. Real servers."""

import asyncio
from collections import Counter

import pytest

from cortex_core.testing import eventually
from cortex_gateway.adapters.pool import verdict
from cortex_gateway.adapters.pool.replicas import FAILURES

from .carrier_server import OK, Hearing, Script, carry, departure, for_ever
from .pool_front import UNWELL, Front, counting, in_front_of, waiting

BROKEN = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
LONG = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n"  # and nothing more: it is not waited for


def circuit(front: Front) -> float | None:
    return front.metrics.value("cortex_circuit_breaker_state", name="order")


def out_now(front: Front, number: int) -> None:
    """It has been left out, and its time is over."""
    replica = front.order.replicas.all[number]
    for _ in range(FAILURES):
        front.order.replicas.failed(replica, 0.0)
    assert replica.ejections == 1


def hanging(seen: list[int]) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/health/live" not in await reader.readuntil(b"\r\n\r\n"):
            seen.append(0)
        await for_ever()

    return script


async def statuses(front: Front, count: int, *, retry: bool = True) -> Counter[int]:
    found: Counter[int] = Counter()
    for _ in range(count):
        hearing = await carry(front.pool, retry=retry, method=b"GET" if retry else b"POST")
        assert hearing.head is not None
        assert hearing.heard.count("answered") == 1
        found[hearing.head.status] += 1
    return found


class TestErrors:
    async def test_one_that_errs_at_once_is_left_out(self) -> None:
        seen: list[int] = []
        go_on = asyncio.Event()
        slow = waiting(go_on)

        async with in_front_of(counting(BROKEN, seen, 0), slow, connections=200) as front:
            hearings = [Hearing() for _ in range(40)]
            for hearing in hearings:  # the fewest under way has the one that answers at once
                front.pool.begin(departure(), b"", hearing)
                await eventually(lambda: front.order.outstanding() == front.order.replicas.all[1].outstanding)
            go_on.set()
            for hearing in hearings:
                await asyncio.wait_for(hearing.over.wait(), 5)

            assert front.figure("cortex_upstream_ejections_total") == 1
            assert circuit(front) == 0
        assert len(seen) == FAILURES

    async def test_where_all_err_all_are_asked_and_their_answers_are_handed_on(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(BROKEN, seen, 0), counting(BROKEN, seen, 1)) as front:
            assert await statuses(front, 40) == {500: 40}
            assert front.figure("cortex_upstream_ejections_total") == 0
        assert Counter(seen) == {0: 20, 1: 20}

    async def test_a_probe_that_errs_is_paid_for_by_nobody(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(BROKEN, seen, 0), counting(OK, seen, 1)) as front:
            out_now(front, 0)

            assert await statuses(front, 10) == {200: 10}
        assert seen.count(0) == 1


class TestSecondTry:
    @pytest.mark.parametrize("reply", [UNWELL, LONG], ids=["whole", "begun"])
    async def test_what_one_replica_cannot_another_is_asked(self, reply: bytes) -> None:
        seen: list[int] = []
        async with in_front_of(counting(reply, seen, 0), counting(OK, seen, 1)) as front:
            assert await statuses(front, 60) == {200: 60}

            assert front.order.outstanding() == 0
            assert front.order.bulkhead.in_use == 0
            assert circuit(front) == 0
        assert seen.count(0) == FAILURES

    async def test_what_must_not_be_sent_twice_is_not(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(UNWELL, seen, 0), counting(OK, seen, 1)) as front:
            assert (await statuses(front, 20, retry=False))[503] == FAILURES
        assert len(seen) == 20

    async def test_a_service_that_fails_as_a_whole_is_asked_once(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(UNWELL, seen, 0), counting(UNWELL, seen, 1)) as front:
            await statuses(front, 10)
        assert len(seen) <= 11  # the first one did not know

    async def test_without_a_token_the_answer_is_handed_on(self) -> None:
        seen: list[int] = []
        async with in_front_of(counting(UNWELL, seen, 0), counting(OK, seen, 1)) as front:
            budget = front.order.rules.budget
            assert budget is not None
            while budget.withdraw():
                pass

            assert (await statuses(front, 4))[503] == 2

    async def test_the_second_one_is_judged_like_the_first(self) -> None:
        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")

        async with in_front_of(counting(UNWELL, [], 0), breaks) as front:
            front.order.replicas.all[1].outstanding += 1  # the first one is asked first
            hearing = await carry(front.pool, retry=True)

            assert hearing.heard == ["failed"]
            assert front.order.replicas.all[1].failures == 1

    async def test_who_leaves_before_it_leaves_nothing_behind(self) -> None:
        async with in_front_of(counting(UNWELL, [], 0), counting(OK, [], 1)) as front:
            for _ in range(4):
                hearing = Hearing()
                exchange = front.pool.begin(departure(retry=True), b"", hearing)
                await eventually(lambda heard=hearing: front.order.replicas.all[0].failures > 0 or heard.over.is_set())
                exchange.abort()

            assert front.order.outstanding() == 0
            assert front.order.bulkhead.in_use == 0


class TestProbes:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verdict, "PROBE", 0.02)

    async def test_one_that_keeps_us_waiting_is_paid_for_by_nobody(self) -> None:
        seen: list[int] = []
        async with in_front_of(hanging(seen), counting(OK, seen, 1)) as front:
            out_now(front, 0)

            assert await statuses(front, 10) == {200: 10}
            assert front.order.replicas.all[0].ejections == 2
            assert front.order.outstanding() == 0
        assert seen.count(0) == 1

    async def test_where_it_cannot_go_elsewhere_it_has_its_routes_time(self) -> None:
        go_on = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            writer.write(OK)
            await reader.read()

        async with in_front_of(slow, counting(OK, [], 1)) as front:
            out_now(front, 0)
            budget = front.order.rules.budget
            assert budget is not None
            while budget.withdraw():
                pass
            hearings = [Hearing(), Hearing()]
            for hearing in hearings:
                front.pool.begin(departure(retry=True), b"", hearing)
            await eventually(lambda: front.order.replicas.all[0].ejections == 2)

            go_on.set()
            for hearing in hearings:
                await asyncio.wait_for(hearing.over.wait(), 5)
                assert hearing.body == b"{}"
            assert front.order.replicas.all[0].ejections == 0

    async def test_and_not_more_than_that(self) -> None:
        async with in_front_of(hanging([]), counting(OK, [], 1)) as front:
            out_now(front, 0)
            budget = front.order.rules.budget
            assert budget is not None
            while budget.withdraw():
                pass
            codes = [
                hearing.error and hearing.error.code
                for hearing in [await carry(front.pool, retry=True, timeout=0.08) for _ in range(2)]
            ]

        assert codes.count("upstream.timeout") == 1

    async def test_what_must_not_be_sent_twice_waits(self) -> None:
        seen: list[int] = []
        async with in_front_of(hanging(seen), counting(OK, seen, 1)) as front:
            out_now(front, 0)
            hearings = [await carry(front.pool, method=b"POST", timeout=0.05) for _ in range(4)]

        assert [hearing.error is not None for hearing in hearings].count(True) == 1
