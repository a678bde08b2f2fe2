"""Outbox and inbox: the relay is killed between publishing and marking. The wire has duplicates, the effects none."""

import asyncio
from typing import Any

from sqlalchemy import text

from chaos.experiment import Control, Experiment, Outcome
from chaos.orders.wire import read_wire
from chaos.surroundings import Process, Surroundings
from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.eventsourcing import Message, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store

KILLS, BATCH = 50, 20


async def shipped(around: Surroundings) -> Outcome:
    return await _relayed(around, inbox=True)


async def without_inbox(around: Surroundings) -> Outcome:
    return await _relayed(around, inbox=False)


async def _relayed(around: Surroundings, *, inbox: bool) -> Outcome:
    kills = around.count(KILLS, 3)
    messages = kills * BATCH + 5 * BATCH
    source = around.new_database()
    async with open_event_store(source) as store:
        await _fill(store, messages)
    fired = 0
    for number in range(kills + 1):
        arguments = (source, around.redis.url, "1" if number < kills else "0", str(BATCH))
        relayer = Process(("-m", "chaos.programs.relayer", *arguments), around.folder / "relayer.log")
        await relayer.start()
        status = await asyncio.wait_for(relayer.wait(), 60.0)
        fired += status == -9
        if status not in {-9, 0}:
            raise RuntimeError(relayer.last_words())
    wire = read_wire(around.redis)
    effects = await _effects(around, sum(wire.ids.values()), inbox=inbox)
    doubled = sum(count - 1 for count in effects.values())
    missing = messages - len(effects)
    figures = {
        "messages": messages,
        "wire duplicates": wire.duplicates,
        "effect duplicates": doubled,
        "missing": missing,
        "out of order": wire.disordered,
    }
    if wire.duplicates == 0:  # a kill that made no duplicate came at the wrong moment
        fired = 0
    return Outcome(fired, doubled + missing + wire.disordered, figures)


async def _fill(store: SqlEventStore, messages: int) -> None:
    """Orders of five events each, as the service would have them."""
    for order in range(messages // 5):
        events = [CloudEvent("order.counted", "/chaos", f"ord_{order}", {"number": n}, version=n + 1) for n in range(5)]
        await store.append(
            f"ord_{order}",
            [NewEvent(event.type, event.data) for event in events],
            expected_version=0,
            messages=[Message(event.id, event.topic, event.subject, event.to_json()) for event in events],
        )


async def _effects(around: Surroundings, deliveries: int, *, inbox: bool) -> dict[str, int]:
    """How often each event had its effect: a row that counts, written in the transaction of its inbox mark."""
    handled = 0
    done = asyncio.Event()
    async with open_event_store(around.new_database()) as store:
        async with store.transaction() as connection:
            await connection.execute(text("CREATE TABLE effects (event_id TEXT PRIMARY KEY, times INTEGER NOT NULL)"))

        async def handle(event: CloudEvent) -> None:
            nonlocal handled
            async with store.transaction() as connection:
                if not inbox or await store.inbox.once(connection, "chaos", event.id):
                    await connection.execute(_COUNT, {"event_id": event.id})
            handled += 1
            if handled >= deliveries:
                done.set()

        bus = RedisEventBus(around.redis.url)
        try:
            await bus.consume("chaos", ["order"], handle)
            await asyncio.wait_for(done.wait(), 300.0)
        finally:
            await bus.aclose()
        async with store.reading() as connection:
            rows: Any = await connection.execute(text("SELECT event_id, times FROM effects"))
            return {row.event_id: row.times for row in rows}


_COUNT = text(
    "INSERT INTO effects (event_id, times) VALUES (:event_id, 1)"
    " ON CONFLICT (event_id) DO UPDATE SET times = effects.times + 1"
)

EXPERIMENT = Experiment(
    "outbox and inbox", "at least once on the wire, once in effect", shipped, [Control("no inbox", without_inbox)]
)
