"""What every `Orders` and `Settlement` must do, run over the fake that the unit tests use and over the real store."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from cortex_core.eventsourcing import CorruptEvent, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import TraceContext, use_context
from cortex_core.testing import FakeClock
from cortex_order.adapters import tables
from cortex_order.adapters.sql import SqlOrders, SqlSettlement
from cortex_order.domain import (
    CustomerId,
    FailureReason,
    Item,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    Status,
)
from cortex_order.ports import Orders, Settlement
from cortex_order.wiring import MIGRATIONS

TOKEN = PaymentToken("tok_canary")


async def placed(orders: Orders, clock: FakeClock) -> Order:
    events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", clock.now())
    order = Order.of(events)
    await orders.add(order, events, TOKEN)
    return order


async def processing(orders: Orders, clock: FakeClock) -> Order:
    order = await placed(orders, clock)
    await orders.save(order, order.decide_processing())
    return order


class OrdersContract:
    """Each adapter's test provides `orders` and `settlement`."""

    async def test_what_was_added_is_loaded(self, orders: Orders, clock: FakeClock) -> None:
        order = await placed(orders, clock)

        assert await orders.load(order.id) == order

    async def test_an_unknown_order_is_not_found(self, orders: Orders) -> None:
        with pytest.raises(OrderNotFound):
            await orders.load(OrderId("ord_" + "f" * 32))

    async def test_what_was_saved_is_applied_and_loaded(self, orders: Orders, clock: FakeClock) -> None:
        order = await processing(orders, clock)
        await orders.save(order, order.decide_completion("ch_1", clock.now()))

        assert (order.status, order.version) == (Status.COMPLETED, 3)
        assert await orders.load(order.id) == order

    async def test_saving_nothing_changes_nothing(self, orders: Orders, clock: FakeClock) -> None:
        order = await placed(orders, clock)

        await orders.save(order, [])

        assert (await orders.load(order.id)).version == 1

    async def test_the_second_of_two_writers_is_refused_and_leaves_nothing(
        self, orders: Orders, clock: FakeClock
    ) -> None:
        fast = await processing(orders, clock)
        slow = await orders.load(fast.id)
        await orders.save(fast, fast.decide_completion("ch_1", clock.now()))

        with pytest.raises(StaleVersion):
            await orders.save(slow, slow.decide_failure(FailureReason.DECLINED, clock.now()))

        assert slow.status is Status.PROCESSING
        assert (await orders.load(fast.id)).status is Status.COMPLETED
        (row,) = (await orders.page(status=None, limit=10, after=None)).rows
        assert row.status is Status.COMPLETED

    async def test_orders_are_listed_newest_first_page_by_page(self, orders: Orders, clock: FakeClock) -> None:
        ids = [(await placed(orders, clock)).id for _ in range(5)]

        first = await orders.page(status=None, limit=2, after=None)
        second = await orders.page(status=None, limit=2, after=first.after)
        third = await orders.page(status=None, limit=2, after=second.after)

        assert [row.order_id for page in (first, second, third) for row in page.rows] == ids[::-1]
        assert third.after is None

    async def test_a_page_that_just_holds_the_rest_is_the_last(self, orders: Orders, clock: FakeClock) -> None:
        for _ in range(2):
            await placed(orders, clock)

        assert (await orders.page(status=None, limit=2, after=None)).after is None

    async def test_orders_are_listed_by_status_as_they_stand(self, orders: Orders, clock: FakeClock) -> None:
        await placed(orders, clock)
        failed = await processing(orders, clock)
        await orders.save(failed, failed.decide_failure(FailureReason.DECLINED, clock.now()))

        (row,) = (await orders.page(status=Status.FAILED, limit=10, after=None)).rows

        assert (row.order_id, row.customer_id, row.total, row.currency) == (failed.id, "cus_1", 2500, "EUR")
        assert (row.version, row.created_at, row.reason) == (3, failed.created_at, "declined")
        assert [each.status for each in (await orders.page(status=Status.PENDING, limit=10, after=None)).rows] == [
            Status.PENDING
        ]

    async def test_a_tenant_sees_its_own_orders_only(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)

        with use_context(tenant="acme"):
            assert (await orders.page(status=None, limit=10, after=None)).rows == []
            assert await settlement.dues(order.id) is None
            with pytest.raises(OrderNotFound):
                await orders.load(order.id)

    async def test_a_new_order_is_due(self, orders: Orders, settlement: Settlement, clock: FakeClock) -> None:
        order = await placed(orders, clock)

        dues = await settlement.dues(order.id)

        assert dues is not None
        assert (dues.token, dues.waiting_since, dues.tries) == (TOKEN, None, 0)

    @pytest.mark.parametrize(
        ("reason", "due"),
        [
            (None, False),
            (FailureReason.DECLINED, False),
            (FailureReason.PAYMENT_TIMEOUT, True),
            (FailureReason.PAYMENT_UNAVAILABLE, True),
        ],
    )
    async def test_an_order_that_ends_is_off_the_list_unless_the_provider_owes_its_word(
        self, orders: Orders, settlement: Settlement, clock: FakeClock, reason: FailureReason | None, due: bool
    ) -> None:
        order = await processing(orders, clock)
        now = clock.now()

        await orders.save(order, order.decide_failure(reason, now) if reason else order.decide_completion("ch", now))

        assert (await settlement.dues(order.id) is not None) is due

    async def test_a_cancelled_order_is_off_the_list(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)

        await orders.save(order, order.decide_cancellation(clock.now()))

        assert await settlement.dues(order.id) is None

    async def test_the_first_wait_stays_and_tries_are_counted(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order, now = await placed(orders, clock), clock.now()
        later = now + timedelta(seconds=9)

        await settlement.postpone(order.id, until=later)
        await settlement.postpone(order.id, until=later, waiting_since=now)
        await settlement.postpone(order.id, until=later, waiting_since=later)

        dues = await settlement.dues(order.id)
        assert dues is not None
        assert (dues.waiting_since, dues.tries) == (now, 3)

    async def test_what_is_settled_is_forgotten_once_and_for_all(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)

        await settlement.settled(order.id)
        await settlement.settled(order.id)

        assert await settlement.dues(order.id) is None


class TestMemoryOrders(OrdersContract):
    @pytest.fixture
    def orders(self, memory_orders: Any) -> Any:
        return memory_orders

    @pytest.fixture
    def settlement(self, memory_orders: Any) -> Any:
        return memory_orders


class TestSqliteOrders(OrdersContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        url = f"sqlite+aiosqlite:///{tmp_path}/order.db"
        async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
            yield store

    @pytest.fixture
    def orders(self, store: SqlEventStore, clock: FakeClock) -> SqlOrders:
        return SqlOrders(store, clock)

    @pytest.fixture
    def settlement(self, store: SqlEventStore, clock: FakeClock) -> SqlSettlement:
        return SqlSettlement(store, clock)

    async def test_the_migration_makes_the_tables_that_the_code_uses(self, store: SqlEventStore) -> None:
        def layout(connection: Any) -> dict[str, Any]:
            found = inspect(connection)
            return {
                table: (
                    [(column["name"], column["nullable"]) for column in found.get_columns(table)],
                    found.get_pk_constraint(table)["constrained_columns"],
                    {index["name"]: index["column_names"] for index in found.get_indexes(table)},
                )
                for table in tables.metadata.tables
            }

        async with store.reading() as connection:
            made = await connection.run_sync(layout)

        assert made == {
            name: (
                [(column.name, column.nullable) for column in table.columns],
                [column.name for column in table.primary_key],
                {index.name: [column.name for column in index.columns] for index in table.indexes},
            )
            for name, table in tables.metadata.tables.items()
        }

    async def test_the_list_of_work_is_in_the_order_of_its_dates_and_of_all_tenants(
        self, orders: SqlOrders, settlement: SqlSettlement, clock: FakeClock
    ) -> None:
        trace = TraceContext.new()
        with use_context(tenant="acme", trace=trace):
            foreign = await placed(orders, clock)
            await settlement.postpone(foreign.id, until=clock.now() + timedelta(seconds=1))
        own = await placed(orders, clock)

        first, second = await settlement.next(10)

        assert (first.order_id, first.tenant, first.due_at, first.tries) == (own.id, "public", clock.now(), 0)
        assert (second.order_id, second.tenant, second.tries) == (foreign.id, "acme", 1)
        assert second.traceparent == trace.traceparent
        assert [work.order_id for work in await settlement.next(1)] == [own.id]

    async def test_after_a_restart_everything_is_due_and_a_wait_begins_anew(
        self, orders: SqlOrders, settlement: SqlSettlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)
        await settlement.postpone(order.id, until=clock.now() + timedelta(hours=1), waiting_since=clock.now())

        await settlement.resume()

        (work,) = await settlement.next(10)
        dues = await settlement.dues(order.id)
        assert (work.due_at, work.tries) == (clock.now(), 0)
        assert dues is not None
        assert dues.waiting_since is None

    async def test_an_order_that_cannot_be_listed_is_not_stored_either(
        self, store: SqlEventStore, orders: SqlOrders, clock: FakeClock
    ) -> None:
        async with store.transaction() as connection:
            await connection.execute(text("DROP TABLE settlements"))

        with pytest.raises(Exception, match="no such table"):
            await placed(orders, clock)

        assert await store.read_all() == []
        assert await store.outbox.pending(10) == []
        assert (await orders.page(status=None, limit=10, after=None)).rows == []

    async def test_a_corrupt_event_costs_that_order_and_no_other(
        self, store: SqlEventStore, orders: SqlOrders, clock: FakeClock
    ) -> None:
        bad, good = await placed(orders, clock), await placed(orders, clock)
        async with store.transaction() as connection:
            await connection.execute(
                text("UPDATE events SET data = :data WHERE stream = :id"), {"data": '{"total":"a lot"}', "id": bad.id}
            )

        with pytest.raises(CorruptEvent):
            await orders.load(bad.id)
        assert (await orders.load(good.id)).status is Status.PENDING

    async def test_the_payment_token_is_in_no_event_and_no_message_and_gone_when_settled(
        self, store: SqlEventStore, orders: SqlOrders, settlement: SqlSettlement, clock: FakeClock, tmp_path: Path
    ) -> None:
        order = await processing(orders, clock)
        await orders.save(order, order.decide_completion("ch_1", clock.now()))

        async with store.reading() as connection:
            everything = [
                str(row)
                for table in ("events", "outbox", "orders", "settlements")
                for row in (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            ]
        assert len(everything) == 3 + 4 + 1
        assert not any("canary" in row for row in everything)
