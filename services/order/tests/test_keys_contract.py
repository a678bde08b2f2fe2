"""What every `Keys`, and every `History` where it looks back, must do: over the unit tests' fake and the real one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError

from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import use_context
from cortex_core.observability import Logger
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters import tables
from cortex_order.adapters.history import SqlHistory
from cortex_order.adapters.idempotency import INTERVAL, PORTION, Pruning, SqlKeys, take
from cortex_order.adapters.sql import SqlOrders
from cortex_order.domain import CustomerId, Item, Order, OrderId, OrderNotFound, PaymentToken, Status, VersionNotFound
from cortex_order.ports import History, Keys, KeyTaken, Once, Orders, Used
from cortex_order.wiring import MIGRATIONS

from .stored_orders import placed

NOBODY = OrderId("ord_" + "f" * 32)


@pytest.fixture
def once(clock: FakeClock) -> Once:
    return Once("key", "0" * 64, clock.now() + timedelta(seconds=10))


class KeysContract:
    """Each adapter's test provides `orders`, `keys` and `history`."""

    async def test_a_key_is_found_with_what_it_was_used_for(
        self, orders: Orders, keys: Keys, clock: FakeClock, once: Once
    ) -> None:
        assert await keys.find("key") is None

        order = await placed(orders, clock, once)

        assert await keys.find("key") == Used("0" * 64, order.id)
        assert await keys.find("KEY") is None

    async def test_the_second_order_with_a_key_is_refused_and_leaves_nothing(
        self, orders: Orders, keys: Keys, clock: FakeClock, once: Once
    ) -> None:
        first = await placed(orders, clock, once)

        events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 1, 1)], "EUR", clock.now())
        second = Order.of(events)
        with pytest.raises(KeyTaken):
            await orders.add(second, events, PaymentToken("tok_ok"), replace(once, fingerprint="1" * 64))

        assert await keys.find("key") == Used("0" * 64, first.id)
        with pytest.raises(OrderNotFound):
            await orders.load(second.id)

    async def test_a_key_is_forgotten_at_its_hour_and_can_be_used_anew(
        self, orders: Orders, keys: Keys, clock: FakeClock, once: Once
    ) -> None:
        await placed(orders, clock, once)
        await clock.advance(10)
        assert await keys.find("key") is None

        second = await placed(orders, clock, Once("key", "1" * 64, clock.now() + timedelta(seconds=10)))

        assert await keys.find("key") == Used("1" * 64, second.id)

    async def test_a_tenant_has_its_own_keys(self, orders: Orders, keys: Keys, clock: FakeClock, once: Once) -> None:
        mine = await placed(orders, clock, once)
        with use_context(tenant="acme"):
            assert await keys.find("key") is None
            theirs = await placed(orders, clock, once)
            assert await keys.find("key") == Used("0" * 64, theirs.id)

        assert await keys.find("key") == Used("0" * 64, mine.id)

    async def test_an_order_is_what_its_first_events_made_of_it(
        self, orders: Orders, history: History, clock: FakeClock
    ) -> None:
        order = await placed(orders, clock)
        await orders.save(order, order.decide_processing())

        assert (await history.at(order.id, 1)).status is Status.PENDING
        assert await history.at(order.id, 2) == await orders.load(order.id)
        with pytest.raises(VersionNotFound) as raised:
            await history.at(order.id, 3)
        assert raised.value.details == {"newest": 2}
        with pytest.raises(OrderNotFound):
            await history.at(NOBODY, 1)

    async def test_another_tenants_order_never_was(self, orders: Orders, history: History, clock: FakeClock) -> None:
        order = await placed(orders, clock)

        with use_context(tenant="acme"), pytest.raises(OrderNotFound):
            await history.at(order.id, 1)


class TestMemoryKeys(KeysContract):
    @pytest.fixture
    def orders(self, memory_orders: Any) -> Any:
        return memory_orders

    keys = history = orders


class SqlKeysContract(KeysContract):
    """Each database's test provides `store`."""

    @pytest.fixture
    def orders(self, store: SqlEventStore, clock: FakeClock) -> SqlOrders:
        return SqlOrders(store, clock)

    @pytest.fixture
    def keys(self, store: SqlEventStore, clock: FakeClock) -> SqlKeys:
        return SqlKeys(store, clock)

    @pytest.fixture
    def history(self, store: SqlEventStore) -> SqlHistory:
        return SqlHistory(store)

    async def test_of_many_orders_with_one_key_one_is_placed(
        self, store: SqlEventStore, orders: SqlOrders, clock: FakeClock, once: Once
    ) -> None:
        ended = await asyncio.gather(*(placed(orders, clock, once) for _ in range(20)), return_exceptions=True)

        assert [type(each) for each in ended if not isinstance(each, Order)] == [KeyTaken] * 19
        assert len(await store.read_all()) == 1
        assert len(await store.outbox.pending(10)) == 1

    async def test_an_order_that_cannot_be_stored_leaves_no_key(
        self, store: SqlEventStore, orders: SqlOrders, keys: SqlKeys, clock: FakeClock, once: Once
    ) -> None:
        async with store.transaction() as connection:
            await connection.execute(text("DROP TABLE settlements"))

        with pytest.raises(SQLAlchemyError, match="settlements"):
            await placed(orders, clock, once)

        assert await keys.find("key") is None
        assert await self._kept(store) == []

    async def test_what_is_forgotten_is_deleted_a_portion_at_a_time(
        self, store: SqlEventStore, orders: SqlOrders, keys: SqlKeys, clock: FakeClock
    ) -> None:
        now = clock.now()
        for number, tenant in enumerate(["acme", "public", "acme", "public"]):
            with use_context(tenant=tenant):
                await placed(orders, clock, Once(f"k{number}", "0" * 64, now + timedelta(seconds=number + 1)))
        await clock.advance(3)

        deleted = [await keys.prune(2) for _ in range(3)]

        assert deleted == [2, 1, 0]
        assert await self._kept(store) == ["k3"]

    async def test_pruning_goes_on_until_all_is_gone_and_after_an_outage(
        self, store: SqlEventStore, keys: SqlKeys, clock: FakeClock
    ) -> None:
        await self._fill(store, clock, PORTION + 1)
        broken = _Breaking(keys)
        pruning = asyncio.create_task(Pruning(broken, clock, Logger.get("test")).run())

        await eventually(lambda: clock.sleepers)
        await clock.advance(INTERVAL)
        await eventually(lambda: broken.calls == 1)
        assert len(await self._kept(store)) == PORTION + 1
        await eventually(lambda: clock.sleepers)
        await clock.advance(INTERVAL)

        async def gone() -> bool:
            return await self._kept(store) == []

        await eventually(gone)
        pruning.cancel()
        assert broken.calls == 3

    @staticmethod
    async def _kept(store: SqlEventStore) -> list[str]:
        async with store.reading() as connection:
            return list((await connection.execute(text("SELECT key FROM idempotency_keys ORDER BY key"))).scalars())

    @staticmethod
    async def _fill(store: SqlEventStore, clock: FakeClock, count: int) -> None:
        row = {"tenant": "public", "fingerprint": "0" * 64, "order_id": NOBODY, "expires_at": clock.now()}
        async with store.transaction() as connection:
            await connection.execute(
                insert(tables.idempotency_keys), [{**row, "key": str(number)} for number in range(count)]
            )


class _Breaking:
    """`SqlKeys` whose first pruning fails."""

    def __init__(self, keys: SqlKeys) -> None:
        self._keys = keys
        self.calls = 0

    async def prune(self) -> int:
        self.calls += 1
        if self.calls == 1:
            raise OSError("the disk is elsewhere")
        return await self._keys.prune()


class TestSqliteKeys(SqlKeysContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        url = f"sqlite+aiosqlite:///{tmp_path}/order.db"
        async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
            yield store


class TestPostgresKeys(SqlKeysContract):
    @pytest.fixture
    async def store(self, postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as store:
            yield store

    async def test_two_replicas_that_race_for_many_keys_place_one_order_for_each(
        self, postgres_url: str, store: SqlEventStore, clock: FakeClock, once: Once
    ) -> None:
        async with open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as other:
            replicas = [SqlOrders(store, clock), SqlOrders(other, clock)]
            keys = [replace(once, key=f"k{number}") for number in range(30)]
            ended = await asyncio.gather(
                *(placed(replicas[0], clock, key) for key in keys),
                *(placed(replicas[1], clock, key) for key in reversed(keys)),
                return_exceptions=True,
            )

        assert {type(each) for each in ended} == {Order, KeyTaken}
        assert len([each for each in ended if isinstance(each, Order)]) == len(keys)
        assert len(await store.read_all()) == len(keys)

    async def test_a_key_that_somebody_is_about_to_use_is_taken_and_free_again_if_that_fails(
        self, postgres_url: str, store: SqlEventStore, orders: SqlOrders, clock: FakeClock, once: Once
    ) -> None:
        async with open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as other:
            with pytest.raises(ZeroDivisionError):
                async with other.transaction() as connection:
                    await take(connection, once, NOBODY, clock.now())
                    with pytest.raises(KeyTaken):
                        await placed(orders, clock, once)
                    raise ZeroDivisionError

        assert (await placed(orders, clock, once)).version == 1

    async def test_pruning_waits_for_nobody(
        self, postgres_url: str, store: SqlEventStore, orders: SqlOrders, keys: SqlKeys, clock: FakeClock, once: Once
    ) -> None:
        for name in ("a", "b"):
            await placed(orders, clock, replace(once, key=name))
        await clock.advance(10)
        async with (
            open_event_store(postgres_url, clock=clock, migrations=[MIGRATIONS]) as other,
            other.transaction() as connection,
        ):
            await take(connection, replace(once, key="a", until=clock.now() + timedelta(1)), NOBODY, clock.now())
            assert await keys.prune() == 1

        assert await self._kept(store) == ["a"]
