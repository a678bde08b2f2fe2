"""How to have appends meet in one group: one that comes first keeps the writer busy until it is let go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import Message, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.testing import eventually

_EVENT = text(
    "INSERT INTO events (tenant, stream, version, id, type, schema_version, time, data, metadata)"
    " VALUES ('public', :stream, 1, 'other-' || :stream, 'ticked', 1, now(), '{}', '{}')"
)


def ticked(size: int = 0) -> NewEvent:
    return NewEvent("ticked", {"note": "x" * size})


def outgoing(name: str) -> Message:
    return Message(name, "order", "ord_1", b"{}")


async def streams(store: SqlEventStore) -> set[str]:
    return {each.stream for each in await store.read_all(limit=10_000)}


class Gate:
    """An `also` that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._open = asyncio.Event()

    async def __call__(self, _: AsyncConnection) -> None:
        self.entered.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


@contextlib.asynccontextmanager
async def busy(store: SqlEventStore) -> AsyncIterator[Gate]:
    """While the block runs, whatever is appended queues up; at its end the writer goes on. Until then it may be longer
    than an `also` has."""
    committer = store._group._committer
    also_within, committer._also_within = committer._also_within, 600.0
    while True:
        gate = Gate()
        holding = asyncio.create_task(store.append("busy", [ticked()], expected_version=0, also=gate))
        holding.add_done_callback(lambda _, gate=gate: gate.entered.set())
        await gate.entered.wait()
        if not holding.done():
            break
        assert "no turn came in time" in str(holding.exception())  # the machine stood still
    committer._also_within = also_within
    try:
        yield gate
    finally:
        gate.open()
        await holding


def hurry_alsos(store: SqlEventStore) -> None:
    """An `also` that hangs ends soon, and nobody's patience does: the machine may stand still before his turn comes."""
    store._group._committer._also_within = 0.05


def appending(store: SqlEventStore, stream: str, *events: NewEvent, **options: Any) -> "asyncio.Task[int]":
    return asyncio.create_task(store.append(stream, events or [ticked()], expected_version=0, **options))


async def settled(*tasks: "asyncio.Task[int]") -> list[int | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def queued(store: SqlEventStore, count: int) -> None:
    await eventually(lambda: len(store._group._queue) == count)


async def three(store: SqlEventStore) -> "list[asyncio.Task[int]]":
    """A group of a, b and c."""
    async with busy(store):
        tasks = [appending(store, name) for name in "abc"]
        await queued(store, 3)
    return tasks


async def write(connection: AsyncConnection, stream: str) -> None:
    """On PostgreSQL, past the store: what another process does."""
    await connection.execute(_EVENT, {"stream": stream})
