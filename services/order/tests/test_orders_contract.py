"""What every `Orders` and `Settlement` must do, run over the fake that the unit tests use and over the real store."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from cortex_core.eventsourcing import CorruptEvent, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock
from cortex_order.adapters import tables
from cortex_order.adapters.settlements import SqlSettlement
from cortex_order.adapters.sql import SqlOrders
from cortex_order.domain import (
    FailureReason,
    OrderId,
    OrderNotFound,
    Status,
)
from cortex_order.ports import Orders, Settlement
from cortex_order.wiring import MIGRATIONS

from .stored_orders import TOKEN, placed, processing


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

    async def test_a_tenant_sees_its_own_orders_only(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)

        with use_context(tenant="acme"):
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

    @pytest.mark.parametrize(("taken_up", "due"), [(False, False), (True, True)])
    async def test_a_cancelled_order_is_off_the_list_unless_it_may_have_been_charged(
        self, orders: Orders, settlement: Settlement, clock: FakeClock, taken_up: bool, due: bool
    ) -> None:
        order = await (processing if taken_up else placed)(orders, clock)

        await orders.save(order, order.decide_cancellation(clock.now()))

        assert (await settlement.dues(order.id) is not None) is due

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

    async def test_silences_add_up(self, orders: Orders, settlement: Settlement, clock: FakeClock) -> None:
        order = await placed(orders, clock)

        await settlement.postpone(order.id, until=clock.now(), silent=2)
        await settlement.postpone(order.id, until=clock.now())
        await settlement.postpone(order.id, until=clock.now(), silent=1)

        dues = await settlement.dues(order.id)
        assert dues is not None
        assert dues.silent == 3

    async def test_what_is_settled_is_not_put_off_any_more(
        self, orders: Orders, settlement: Settlement, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)
        await settlement.settled(order.id)

        await settlement.postpone(order.id, until=clock.now())

        assert await settlement.dues(order.id) is None

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
        return SqlSettlement(store, clock, holder="here")

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

    async def test_an_order_that_cannot_be_put_on_the_list_of_work_is_not_stored_either(
        self, store: SqlEventStore, orders: SqlOrders, clock: FakeClock
    ) -> None:
        async with store.transaction() as connection:
            await connection.execute(text("DROP TABLE settlements"))

        with pytest.raises(Exception, match=r"no such table|does not exist"):
            await placed(orders, clock)

        assert await store.read_all() == []
        assert await store.outbox.pending(10) == []

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
                for table in ("events", "outbox", "settlements")
                for row in (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            ]
        assert len(everything) == 3 + 4
        assert not any("canary" in row for row in everything)


class TestPostgresOrders(TestSqliteOrders):
    @pytest.fixture
    async def store(self, postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as store:
            yield store
