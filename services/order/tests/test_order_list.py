"""What every `OrderList` must do, over the fake that the unit tests use and over the projection; and what only that
can: fall behind, be rebuilt, set a broken order aside."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import NewEvent, Parked, Projector
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters import tables
from cortex_order.adapters.listing import OrderListing, SqlOrderList
from cortex_order.adapters.sql import SqlOrders
from cortex_order.domain import FailureReason, Order, Status
from cortex_order.wiring import MIGRATIONS

from .order_list_contract import OrderListContract, all_rows
from .stored_orders import placed, processing


class TestMemoryOrderList(OrderListContract):
    @pytest.fixture
    def orders(self, memory_orders: Any) -> Any:
        return memory_orders

    @pytest.fixture
    def listing(self, memory_orders: Any) -> Any:
        return memory_orders


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    url = f"sqlite+aiosqlite:///{tmp_path}/order.db"
    async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
        yield store


@pytest.fixture
def orders(store: SqlEventStore, clock: FakeClock) -> SqlOrders:
    return SqlOrders(store, clock)


@pytest.fixture
def projector(store: SqlEventStore, clock: FakeClock) -> Projector[AsyncConnection]:
    return Projector(store, OrderListing(), clock=clock, poison="park", on_trouble=lambda _: None)


@pytest.fixture
async def running(projector: Projector[AsyncConnection]) -> AsyncIterator[None]:
    task = asyncio.create_task(projector.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def listing(store: SqlEventStore, projector: Projector[AsyncConnection]) -> SqlOrderList:
    return SqlOrderList(store, projector, patience=1.0)


@pytest.mark.usefixtures("running")
class TestSqliteOrderList(OrderListContract):
    pass


@pytest.mark.usefixtures("running")
class TestPostgresOrderList(OrderListContract):
    @pytest.fixture
    async def store(self, postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as store:
            yield store

    async def test_a_rebuilt_list_equals_the_live_one(
        self, store: SqlEventStore, orders: SqlOrders, projector: Projector[AsyncConnection], clock: FakeClock
    ) -> None:
        for _ in range(30):
            await processing(orders, clock)
        assert await projector.caught_up(within=5)
        live = await generation(store, 1)

        await projector.rebuild()

        async def switched() -> bool:
            return [each.generation for each in await store.checkpoints.generations("orders")] == [2]

        await eventually(switched)
        assert len(live) == 30
        assert (await generation(store, 1), await generation(store, 2)) == ([], live)


async def work_off(projector: Projector[AsyncConnection]) -> None:
    while await projector.step():
        pass


async def generation(store: SqlEventStore, number: int) -> list[tuple[Any, ...]]:
    """Its rows, all but the generation's number."""
    query = select(tables.order_list).where(tables.order_list.c.generation == number)
    async with store.reading() as connection:
        rows = (await connection.execute(query.order_by("tenant", "order_id"))).all()
    return [tuple(row[1:]) for row in rows]


async def test_a_list_that_cannot_follow_is_answered_as_it_is(
    orders: SqlOrders, listing: SqlOrderList, projector: Projector[AsyncConnection], clock: FakeClock
) -> None:
    first = await placed(orders, clock)
    await work_off(projector)
    await processing(orders, clock)

    waiting = asyncio.create_task(listing.page(status=None, limit=10, after=None))
    for _ in range(25):
        await eventually(lambda: clock.sleepers or waiting.done())
        assert waiting.done() or clock.monotonic() < 1.1
        await clock.advance(0.05)
    page = await asyncio.wait_for(waiting, 20)

    assert [row.order_id for row in page.rows] == [first.id]
    assert page.behind == 2


async def test_while_the_projection_is_in_trouble_nobody_waits_for_it(
    store: SqlEventStore,
    orders: SqlOrders,
    listing: SqlOrderList,
    projector: Projector[AsyncConnection],
    clock: FakeClock,
) -> None:
    await placed(orders, clock)
    await work_off(projector)
    async with store.transaction() as connection:
        await connection.execute(text("ALTER TABLE parked RENAME TO away"))
        await connection.execute(text("ALTER TABLE order_list RENAME TO elsewhere"))
    await placed(orders, clock)
    await work_off(projector)
    async with store.transaction() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO order_list"))
        await connection.execute(text("ALTER TABLE away RENAME TO parked"))

    page = await asyncio.wait_for(listing.page(status=None, limit=10, after=None), 20)

    assert (len(page.rows), page.behind) == (1, 1)


async def test_a_corrupt_order_is_set_aside_and_the_others_are_listed(
    store: SqlEventStore,
    orders: SqlOrders,
    listing: SqlOrderList,
    projector: Projector[AsyncConnection],
    clock: FakeClock,
) -> None:
    bad = await processing(orders, clock)
    good = await processing(orders, clock)
    async with store.transaction() as connection:
        await connection.execute(
            text("UPDATE events SET data = :data WHERE stream = :id AND version = 1"),
            {"data": '{"total":"a lot"}', "id": bad.id},
        )
    await store.append(
        "ord_stray", [NewEvent("order.completed", {"chargeId": "c", "processingTime": 1})], expected_version=0
    )

    await work_off(projector)

    assert [row.order_id for row in await all_rows(listing)] == [good.id]
    [parked, stray] = await store.checkpoints.parked("orders", 1)
    assert (parked.stream, parked.code) == (bad.id, "event-store.corrupt-event")
    assert stray.stream == "ord_stray"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET type = 'order.exploded' WHERE stream = :id AND version = 3",
        "UPDATE events SET type = 'order.created', data = '{}' WHERE stream = :id AND version = 3",
        "DELETE FROM events WHERE stream = :id AND version = 2",
    ],
    ids=["a type that nobody knows", "created twice", "a hole"],
)
async def test_an_order_that_turns_out_to_be_corrupt_is_listed_no_more(
    store: SqlEventStore,
    orders: SqlOrders,
    listing: SqlOrderList,
    projector: Projector[AsyncConnection],
    clock: FakeClock,
    damage: str,
) -> None:
    bad = await placed(orders, clock)
    good = await placed(orders, clock)
    with use_context(tenant="acme"):
        namesake = await placed(orders, clock)
    await work_off(projector)
    await orders.save(bad, bad.decide_processing())
    await orders.save(bad, bad.decide_completion("ch_1", clock.now()))
    async with store.transaction() as connection:
        await connection.execute(text(damage), {"id": bad.id})
        for projection, number, tenant in (("orders", 1, "acme"), ("orders", 2, "public"), ("others", 1, "public")):
            parked = Parked(projection, number, tenant, good.id, 0, "", "", clock.now())
            await store.checkpoints.park(connection, parked)

    await work_off(projector)

    assert [row.order_id for row in await all_rows(listing)] == [good.id]
    assert bad.id in {each.stream for each in await store.checkpoints.parked("orders", 1)}
    with use_context(tenant="acme"):
        assert [row.order_id for row in await all_rows(listing)] == [namesake.id]


async def test_a_rebuilt_list_equals_the_live_one_byte_for_byte(
    store: SqlEventStore, orders: SqlOrders, projector: Projector[AsyncConnection], clock: FakeClock
) -> None:
    for number in range(30):
        with use_context(tenant=f"tenant{number % 3}"):
            order = await processing(orders, clock)
            if number % 2:
                await orders.save(order, order.decide_failure(FailureReason.PAYMENT_TIMEOUT, clock.now()))
    await work_off(projector)
    live = await generation(store, 1)

    await projector.rebuild()
    await projector.step()
    assert (await generation(store, 1), await generation(store, 2)) == (live, live)
    await work_off(projector)

    assert len(live) == 30
    assert (await generation(store, 1), await generation(store, 2)) == ([], live)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_however_the_events_are_cut_into_batches_the_list_is_the_orders_themselves(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, data: st.DataObject
) -> None:
    clock = FakeClock()
    file = tmp_path_factory.mktemp("list") / "order.db"
    shutil.copy(empty_database, file)
    url = f"sqlite+aiosqlite:///{file}"
    async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
        orders = SqlOrders(store, clock)
        known: list[Order] = []
        for _ in range(data.draw(st.integers(1, 12))):
            if not known or data.draw(st.booleans()):
                known.append(await placed(orders, clock))
                continue
            order = data.draw(st.sampled_from(known))
            if order.status is Status.PENDING:
                await orders.save(
                    order,
                    data.draw(st.sampled_from([order.decide_processing(), order.decide_cancellation(clock.now())])),
                )
            elif order.status is Status.PROCESSING:
                await orders.save(order, order.decide_failure(FailureReason.DECLINED, clock.now()))
        batch = data.draw(st.integers(1, 5))
        projector = Projector(store, OrderListing(), clock=clock, batch=batch)
        await work_off(projector)

        rows = await all_rows(SqlOrderList(store, projector, patience=0.0))

        assert [(row.order_id, row.status, row.version, row.reason) for row in reversed(rows)] == [
            (each.id, each.status, each.version, each.reason and each.reason.value)
            for each in sorted(known, key=lambda order: order.id)
        ]
