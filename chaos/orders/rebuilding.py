"""Rebuild: the order list is made anew beside live traffic, and equals, byte for byte, what the events say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text

from chaos.experiment import Control, Experiment, Outcome
from chaos.orders.service import Customers, all_final, order_service, payment_provider
from chaos.surroundings import Process, Surroundings, started
from cortex_core.eventsourcing import RecordedEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import eventually
from cortex_order.adapters.listing import NAME, OrderListing
from cortex_order.adapters.records import order_of

EVENTS: Final = 10_000
PAGE: Final = 500
UNFINISHED: Final = 1_000_000  # a generation of the control's own

_COLUMNS: Final = "order_id, customer_id, status, total, currency, version, reason"
_LIVE: Final = text("SELECT generation FROM checkpoints WHERE projection = :name AND stage = 'live'")


async def shipped(around: Surroundings) -> Outcome:
    async with _traffic(around) as (customers, database, environment):
        rebuild = Process(
            ("-m", "cortex_order.main", "projections", "rebuild", NAME), around.folder / "rebuild", environment
        )
        async with open_event_store(database, migrate=False) as store:
            before = await _live(store)
            placed = len(customers.acknowledged)
            await rebuild.start()
            if await rebuild.wait() != 0:
                raise RuntimeError(rebuild.last_words())

            async def switched() -> bool:
                return await _live(store) > before

            await eventually(switched, within=120.0)
            beside = len(customers.acknowledged) - placed
    return await _compared(database, None, beside)


async def without_catching_up(around: Surroundings) -> Outcome:
    async with _traffic(around) as (customers, database, _):
        async with open_event_store(database, migrate=False) as store:
            placed = len(customers.acknowledged)
            await _build(store, await store.head())
        beside = len(customers.acknowledged) - placed
    return await _compared(database, UNFINISHED, beside)


@asynccontextmanager
async def _traffic(around: Surroundings) -> AsyncIterator[tuple[Customers, str, dict[str, str]]]:
    """The block begins when a third has been ordered; the rest is while it runs, and has all been paid after it."""
    orders = around.count(EVENTS // 3 + 1, 90)
    database = around.new_database()
    async with payment_provider(around) as provider:
        service = order_service(around, database, provider)
        customers = Customers(service.url)
        async with started(service.process):
            await service.ready()
            placing = asyncio.create_task(customers.place(orders, at_once=16))
            try:
                await eventually(lambda: len(customers.acknowledged) >= orders // 3, within=300.0)
                yield customers, database, dict(service.process.environment)
                await placing
                await all_final(service.url, 120.0)
            finally:
                placing.cancel()


async def _compared(database: str, generation: int | None, beside: int) -> Outcome:
    async with open_event_store(database, migrate=False) as store:
        shown = await _dump(store, await _live(store) if generation is None else generation)
        events, expected = await _folded(store)
    wrong = len(set(shown) ^ set(expected)) + (sorted(shown) == sorted(expected) and shown != expected)
    figures = {
        "events": events,
        "rows": len(expected),
        "ordered while it was built": beside,
        "bytes equal": "\n".join(shown) == "\n".join(expected),
        "rows that differ": wrong,
    }
    return Outcome(beside, wrong, figures)


async def _live(store: SqlEventStore) -> int:
    async with store.reading() as connection:
        return int((await connection.execute(_LIVE, {"name": NAME})).scalar_one())


async def _dump(store: SqlEventStore, generation: int) -> list[str]:
    query = text(f"SELECT {_COLUMNS} FROM order_list WHERE generation = :generation ORDER BY order_id")
    async with store.reading() as connection:
        return [json.dumps(list(row)) for row in await connection.execute(query, {"generation": generation})]


async def _folded(store: SqlEventStore) -> tuple[int, list[str]]:
    """How many events there are, and the rows that follow from them by the domain's own rules."""
    streams: dict[str, list[RecordedEvent]] = {}
    count = after = 0
    while page := await store.read_all(after=after, limit=PAGE):
        for record in page:
            streams.setdefault(record.stream, []).append(record)
        count, after = count + len(page), page[-1].position
    orders = [order_of(streams[stream]) for stream in sorted(streams)]
    return count, [
        json.dumps(
            [
                *(order.id, order.customer_id.value, order.status.value, order.total.amount, order.total.currency),
                *(order.version, order.reason.value if order.reason else None),
            ]
        )
        for order in orders
    ]


async def _build(store: SqlEventStore, head: int) -> None:
    """A rebuild that takes what there was when it began, and calls that the list."""
    listing, after = OrderListing(), 0
    async with store.transaction() as connection:
        await listing.begin(connection, UNFINISHED)
    while page := [record for record in await store.read_all(after=after, limit=PAGE) if record.position <= head]:
        async with store.transaction() as connection:
            await listing.apply(connection, UNFINISHED, page)
        after = page[-1].position


EXPERIMENT = Experiment(
    "rebuild",
    "a projection rebuilt beside live traffic equals what the events say, byte for byte",
    shipped,
    [Control("no catching up", without_catching_up)],
)
