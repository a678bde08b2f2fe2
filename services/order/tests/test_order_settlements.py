"""The list of work, and whose an order is: on the real database, with two replicas side by side."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import TraceContext, use_context
from cortex_core.testing import FakeClock
from cortex_order.adapters.settlements import UNNOTICED, SqlSettlement
from cortex_order.adapters.sql import SqlOrders
from cortex_order.domain import CustomerId, Item, Order, OrderId, PaymentToken
from cortex_order.wiring import MIGRATIONS

CLAIM = timedelta(seconds=30)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/order.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def store(url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
        yield store


@pytest.fixture
async def second_store(url: str, store: SqlEventStore, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    """The other replica's own connections to the same database."""
    async with open_event_store(url, clock=clock, migrate=False) as second:
        yield second


@pytest.fixture
def here(store: SqlEventStore, clock: FakeClock) -> SqlSettlement:
    return SqlSettlement(store, clock, holder="here")


@pytest.fixture
def there(second_store: SqlEventStore, clock: FakeClock) -> SqlSettlement:
    return SqlSettlement(second_store, clock, holder="there")


class Desk:
    def __init__(self, store: SqlEventStore, clock: FakeClock) -> None:
        self._orders = SqlOrders(store, clock)
        self._clock = clock

    async def place(self) -> OrderId:
        events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", self._clock.now())
        order = Order.of(events)
        await self._orders.add(order, events, PaymentToken("tok_ok"))
        return order.id


@pytest.fixture
def desk(store: SqlEventStore, clock: FakeClock) -> Desk:
    return Desk(store, clock)


async def claimed(settlement: SqlSettlement, clock: FakeClock, limit: int = 10) -> list[OrderId]:
    return [work.order_id for work in await settlement.claim(limit, until=clock.now() + CLAIM)]


async def test_the_longest_due_are_claimed_first_and_those_of_all_tenants(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    trace = TraceContext.new()
    with use_context(tenant="acme", trace=trace):
        foreign = await desk.place()
        await here.postpone(foreign, until=clock.now() + timedelta(seconds=1))
    await clock.advance(2)
    young = await desk.place()

    (first,) = await here.claim(1, until=clock.now() + CLAIM)
    (second,) = await here.claim(1, until=clock.now() + CLAIM)

    assert (first.order_id, first.tenant, first.tries, first.traceparent) == (foreign, "acme", 1, trace.traceparent)
    assert (second.order_id, second.tenant, second.tries) == (young, "public", 0)


async def test_what_is_not_due_is_not_claimed(here: SqlSettlement, desk: Desk, clock: FakeClock) -> None:
    order_id = await desk.place()
    await here.postpone(order_id, until=clock.now() + timedelta(seconds=1))

    assert await claimed(here, clock) == []
    assert await here.next_due() == clock.now() + timedelta(seconds=1)


async def test_nothing_is_due_on_an_empty_list(here: SqlSettlement, clock: FakeClock) -> None:
    assert await here.next_due() is None
    assert await claimed(here, clock) == []


async def test_an_order_is_in_one_replicas_hands_at_a_time(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    ids = [await desk.place() for _ in range(20)]

    shares = await asyncio.gather(*(claimed(each, clock, 3) for each in (here, there) * 5))

    assert sorted(order_id for share in shares for order_id in share) == ids


async def test_what_a_dead_replica_had_in_hand_is_anybodys_when_its_claim_is_over(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id = await desk.place()
    assert await claimed(here, clock) == [order_id]

    await clock.advance(29)
    assert await claimed(there, clock) == []
    await clock.advance(1)

    assert await claimed(there, clock) == [order_id]


async def test_what_is_put_off_is_nobodys(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id = await desk.place()
    await claimed(here, clock)

    await here.postpone(order_id, until=clock.now() + timedelta(seconds=1))
    await here.release()
    await clock.advance(0.9)
    assert await claimed(there, clock) == []
    await clock.advance(0.1)

    assert await claimed(there, clock) == [order_id]


async def test_what_is_released_is_due_at_once_and_what_others_have_is_not(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    ours, theirs = await desk.place(), await desk.place()
    assert await claimed(here, clock, 1) == [ours]
    assert await claimed(there, clock, 1) == [theirs]

    await here.release()

    assert await claimed(there, clock) == [ours]


async def test_what_was_in_hand_is_due_after_a_restart_and_what_was_put_off_stays_so(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    in_hand = await desk.place()
    await claimed(here, clock)
    put_off, since = await desk.place(), clock.now()
    await here.postpone(put_off, until=since + timedelta(hours=1), waiting_since=since, silent=2)

    await here.release()

    assert await claimed(here, clock) == [in_hand]
    dues = await here.dues(put_off)
    assert dues is not None
    assert (dues.tries, dues.waiting_since, dues.silent) == (1, since, 2)
    assert (await here.next_due()) == since + CLAIM


async def test_a_replicas_start_changes_nothing_about_orders_that_others_work_on(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id, since = await desk.place(), clock.now()
    await claimed(there, clock)
    await there.postpone(order_id, until=since + timedelta(seconds=20), waiting_since=since)

    await here.release()

    assert await here.next_due() == since + timedelta(seconds=20)
    await clock.advance(20)
    assert await claimed(there, clock) == [order_id]
    await here.release()
    assert await claimed(here, clock) == []
    dues = await here.dues(order_id)
    assert dues is not None
    assert (dues.tries, dues.waiting_since) == (1, since)


async def test_time_in_which_nobody_was_there_to_try_does_not_count_as_waiting(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id, since = await desk.place(), clock.now()
    await here.postpone(order_id, until=since + timedelta(seconds=5), waiting_since=since)

    await clock.advance(5 + 3600)
    assert await claimed(here, clock) == [order_id]

    dues = await here.dues(order_id)
    assert dues is not None
    assert dues.waiting_since == since + timedelta(hours=1)


async def test_what_a_killed_replica_had_in_hand_waited_for_no_longer_than_its_claim(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id, since = await desk.place(), clock.now()
    await here.postpone(order_id, until=since, waiting_since=since)
    await claimed(here, clock)

    await clock.advance(3600)
    await here.release()
    assert await claimed(here, clock) == [order_id]

    dues = await here.dues(order_id)
    assert dues is not None
    assert dues.waiting_since == clock.now() - CLAIM


async def test_an_order_that_is_taken_up_in_time_has_waited_all_along(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id, since = await desk.place(), clock.now()
    await here.postpone(order_id, until=since + timedelta(seconds=5), waiting_since=since)

    await clock.advance(5 + UNNOTICED.total_seconds())
    await claimed(here, clock)

    dues = await here.dues(order_id)
    assert dues is not None
    assert dues.waiting_since == since


async def test_who_was_never_missed_by_the_provider_does_not_begin_to_wait_by_being_late(
    here: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    order_id = await desk.place()

    await clock.advance(3600)
    await claimed(here, clock)

    dues = await here.dues(order_id)
    assert dues is not None
    assert dues.waiting_since is None


async def test_what_is_renewed_stays_in_hand_and_what_is_not_becomes_anybodys(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    slow, other = await desk.place(), await desk.place()
    works = await here.claim(10, until=clock.now() + CLAIM)
    await clock.advance(15)

    await here.renew([work for work in works if work.order_id == slow], until=clock.now() + CLAIM)
    await clock.advance(15)

    assert await claimed(there, clock) == [other]
    assert await here.next_due() == clock.now() + timedelta(seconds=15)


async def test_what_another_replica_took_up_or_was_put_off_is_not_renewed(
    here: SqlSettlement, there: SqlSettlement, desk: Desk, clock: FakeClock
) -> None:
    taken, put_off = await desk.place(), await desk.place()
    works = await here.claim(10, until=clock.now() + CLAIM)
    await here.postpone(put_off, until=clock.now() + timedelta(seconds=31))
    await clock.advance(30)
    assert await claimed(there, clock) == [taken]

    await here.renew(works, until=clock.now() + timedelta(hours=1))
    await clock.advance(30)

    assert sorted(await claimed(there, clock)) == sorted([put_off, taken])
