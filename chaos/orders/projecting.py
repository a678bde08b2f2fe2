"""Projections: a low position that commits late is not passed over, and one rolled back stalls nobody.

On SQLite positions cannot overtake each other: there it is shown that the second writer waits, and is not refused.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chaos.experiment import Control, Experiment, Outcome
from chaos.surroundings import Surroundings
from cortex_core.eventsourcing import NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store

HELD, LONGEST_STALL = 3.0, 5.0  # seconds
ROUNDS, PAUSE = 5, 0.02

NextIds = Callable[[SqlEventStore, int], Awaitable[list[tuple[int, str]]]]


class Undone(Exception):
    """Rolls a transaction back."""


@dataclass(slots=True)
class Follower:
    """A projection's way of reading: what comes after the last position it has seen, again and again."""

    store: SqlEventStore
    read: NextIds
    position: int = 0
    seen: dict[str, float] = field(default_factory=dict)

    async def follow(self) -> None:
        while True:
            for position, event_id in await self.read(self.store, self.position):
                self.position = position
                self.seen[event_id] = time.monotonic()
            await asyncio.sleep(0.01)


async def settled_only(store: SqlEventStore, after: int) -> list[tuple[int, str]]:
    return [(record.position, record.id) for record in await store.read_all(after=after)]


async def whatever_is_there(store: SqlEventStore, after: int) -> list[tuple[int, str]]:
    """What nearly everybody writes first."""
    query = text("SELECT position, id FROM events WHERE position > :after ORDER BY position LIMIT 500")
    async with store.reading() as connection:
        return [(row.position, row.id) for row in await connection.execute(query, {"after": after})]


async def shipped(around: Surroundings) -> Outcome:
    return await _held(around, settled_only)


async def naive_reader(around: Surroundings) -> Outcome:
    return await _held(around, whatever_is_there)


async def _held(around: Surroundings, read: NextIds) -> Outcome:
    """Three stores on one database, as three replicas: one holds, one rolls back, one writes on."""
    database = around.new_database()
    rounds = around.count(ROUNDS, 1)
    committed: dict[str, float] = {}
    overtaken = 0
    async with (
        open_event_store(database) as busy,
        open_event_store(database) as slow,
        open_event_store(database) as undone,
    ):
        follower = Follower(busy, read)
        following = asyncio.create_task(follower.follow())
        for number in range(rounds):
            before = len(committed)
            late = asyncio.create_task(_append(slow, f"slow-{number}", committed, hold=HELD))
            gone = asyncio.create_task(_roll_back(undone, f"undone-{number}", hold=HELD / 3))
            while not (late.done() and gone.done()):
                await _append(busy, f"busy-{number}-{len(committed)}", committed)
                await asyncio.sleep(PAUSE)
            await late
            await gone
            overtaken += len(committed) - before - 1
        await asyncio.sleep(1.0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    skipped = len(committed.keys() - follower.seen.keys())
    stall = max((follower.seen[each] - at for each, at in committed.items() if each in follower.seen), default=0.0)
    figures = {
        "events": len(committed),
        "held": rounds,
        "rolled back": rounds,
        "skipped": skipped,
        "longest stall s": stall,
    }
    return Outcome(rounds if overtaken else 0, skipped + (stall > LONGEST_STALL), figures)


async def _append(store: SqlEventStore, stream: str, committed: dict[str, float], *, hold: float = 0.0) -> None:
    event = NewEvent("counted", {})

    async def wait(_connection: AsyncConnection) -> None:
        await asyncio.sleep(hold)

    await store.append(stream, [event], expected_version=0, also=wait if hold else None)
    committed[event.id] = time.monotonic()


async def _roll_back(store: SqlEventStore, stream: str, *, hold: float) -> None:
    async def fail(_connection: AsyncConnection) -> None:
        await asyncio.sleep(hold)
        raise Undone

    try:
        await store.append(stream, [NewEvent("counted", {})], expected_version=0, also=fail)
    except Undone:
        return
    raise RuntimeError("what should have been undone was committed")


async def second_writer_waits(around: Surroundings) -> Outcome:
    database = around.new_database()
    committed: dict[str, float] = {}
    async with open_event_store(database) as first, open_event_store(database) as second:
        holding = asyncio.create_task(_append(first, "slow", committed, hold=HELD))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await _append(second, "fast", committed)
        waited = time.monotonic() - began
        await holding
        records = await first.read_all()
    order = [record.stream for record in records]
    figures = {"second writer waited s": waited, "skipped": len(committed) - len(records)}
    return Outcome(int(waited > HELD / 2), int(order != ["slow", "fast"]), figures)


async def second_writer_is_refused(around: Surroundings) -> Outcome:
    """SQLite as it comes: a transaction that begins by reading cannot write once somebody else has."""
    file = around.folder / "plain.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as one,
        closing(sqlite3.connect(file, isolation_level=None)) as two,
    ):
        one.execute("PRAGMA journal_mode=WAL")
        one.execute("CREATE TABLE events (stream TEXT)")
        for connection in (one, two):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM events").fetchall()
        one.execute("INSERT INTO events VALUES ('slow')")
        refused = 0
        try:
            two.execute("INSERT INTO events VALUES ('fast')")
        except sqlite3.OperationalError:
            refused += 1
        one.execute("COMMIT")
    return Outcome(1, refused, {"refused": refused})


EXPERIMENTS = (
    Experiment(
        "projections",
        "no gap skipped; stalls of at most 5 s",
        shipped,
        [Control("reader that takes whatever is there", naive_reader)],
        ("postgresql",),
    ),
    Experiment(
        "projections",
        "the second writer waits",
        second_writer_waits,
        [Control("transactions that begin by reading", second_writer_is_refused)],
        ("sqlite",),
    ),
)
