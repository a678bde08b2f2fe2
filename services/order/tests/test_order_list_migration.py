"""The list becomes a projection under the release before, which goes on placing orders while the tables change."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import Projector
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store, upgrade
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters import tables
from cortex_order.adapters.listing import OrderListing
from cortex_order.adapters.records import to_new_event
from cortex_order.domain import CustomerId, Item, Order
from cortex_order.wiring import MIGRATIONS

OLD_LIST = Table(
    "orders", MetaData(), *(column._copy() for column in tables.order_list.c if column.key != "generation")
)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The migrations of the release before."""
    ignored = shutil.ignore_patterns("order_000[34]*", "__pycache__")
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=ignored))


async def place(store: SqlEventStore, clock: FakeClock, gate: asyncio.Event | None = None) -> tuple[Any, ...]:
    """As the release before does: with the event, a row in `orders`. Its transaction ends when `gate` is open."""
    events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", clock.now())
    order = Order.of(events)
    row = ("public", order.id, "cus_1", "pending", 2500, "EUR", 1, order.created_at, None)

    async def also(connection: AsyncConnection) -> None:
        await connection.execute(insert(OLD_LIST).values(row))
        if gate is not None:
            await gate.wait()

    await store.append(order.id, [to_new_event(events[0])], expected_version=0, also=also)
    return row


async def generation(store: SqlEventStore, number: int) -> list[tuple[Any, ...]]:
    query = select(tables.order_list).where(tables.order_list.c.generation == number)
    async with store.reading() as connection:
        return sorted(tuple(row[1:]) for row in (await connection.execute(query)).all())


async def work_off(projector: Projector[AsyncConnection]) -> None:
    while await projector.step():
        pass


async def count(store: SqlEventStore, locks: str) -> int:
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    async with store.reading() as connection:
        found = await connection.execute(text(f"SELECT count(*) FROM pg_locks WHERE {here} AND {locks}"))
        return int(found.scalar_one())


async def test_rows_from_before_the_projection_are_its_first_generation(
    tmp_path: Path, before: Path, clock: FakeClock
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/order.db"
    async with open_event_store(url, clock=clock, migrations=[before]) as store:
        row = await place(store, clock)

    async with open_event_store(url, clock=clock, migrations=[MIGRATIONS]) as store:
        [live] = await store.checkpoints.generations("orders")
        assert (live.generation, live.stage, live.position, live.logic) == (1, "live", await store.head(), 1)
        carried = await generation(store, 1)
        projector = Projector(store, OrderListing(), clock=clock)
        await projector.rebuild()
        await work_off(projector)

        assert carried == [row]
        assert await generation(store, 2) == carried


async def test_an_order_that_is_being_placed_while_the_tables_change_is_listed(
    postgres_url: str, before: Path, clock: FakeClock
) -> None:
    """Its position is below that of an order that was committed first."""
    gate = asyncio.Event()
    async with (
        open_event_store(postgres_url, clock=clock, migrations=[before]) as slow,
        open_event_store(postgres_url, clock=clock, migrations=[before]) as quick,
    ):
        placing = asyncio.create_task(place(slow, clock, gate))
        await eventually(lambda: count(quick, "relation = 'orders'::regclass AND mode = 'RowExclusiveLock'"))
        rows = [await place(quick, clock)]
        upgrading = asyncio.create_task(upgrade(postgres_url, [MIGRATIONS]))

        async def waits_or_is_over() -> bool:
            return upgrading.done() or await count(quick, "NOT granted") > 0

        await eventually(waits_or_is_over)
        gate.set()
        rows.append(await placing)
        await upgrading
        rows.append(await place(quick, clock))
        await work_off(Projector(slow, OrderListing(), clock=clock))

        assert await generation(slow, 1) == sorted(rows)
