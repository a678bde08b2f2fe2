"""Groups on PostgreSQL that wait for the locks of another process: who fails, and that each is waited for once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.engines import postgresql
from cortex_core.eventsourcing.sql.faults import sqlstate
from cortex_core.testing import FakeClock

from .groups import appending, busy, queued, settled, streams, three, write


@pytest.fixture
async def other(postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    """Of another process, as far as the database can tell; its own patience is a usual one."""
    async with open_event_store(postgres_url, clock=clock) as other:
        yield other


@pytest.fixture
def short_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is opened from now on waits for a lock for 0.3 s, and for anything else long enough for a machine that
    stands still. As a rule both follow from `busy_timeout`."""
    monkeypatch.setattr(postgresql, "_limits", lambda _: {"lock_timeout": "300"})


def long_waits(store: SqlEventStore) -> list[str]:
    """Grows whenever a lock is waited for in vain, by a transaction that has not said that it is in a hurry."""
    waits: list[str] = []

    def on_begin(connection: Connection) -> None:
        connection.info["hurried"] = False

    def on_statement(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        connection.info["hurried"] |= "lock_timeout" in statement

    def on_error(context: ExceptionContext) -> None:
        assert context.connection is not None
        if sqlstate(context.original_exception) == "55P03" and not context.connection.info["hurried"]:
            waits.append(str(context.original_exception))

    engine = store._engines.writer.sync_engine
    event.listen(engine, "begin", on_begin)
    event.listen(engine, "before_cursor_execute", on_statement)
    event.listen(engine, "handle_error", on_error)
    return waits


async def test_a_lock_that_is_held_for_too_long_fails_only_those_who_need_it(
    postgres_url: str, clock: FakeClock, other: SqlEventStore, short_locks: None
) -> None:
    async with open_event_store(postgres_url, clock=clock) as store:
        async with other.transaction() as connection:
            await write(connection, "b")
            outcomes = await settled(*await three(store))

        assert [type(each) for each in outcomes] == [int, EventStoreUnavailable, int]
        assert await streams(store) == {"busy", "a", "b", "c"}


async def test_many_locks_that_are_held_for_too_long_are_waited_for_once(
    postgres_url: str, clock: FakeClock, other: SqlEventStore, short_locks: None
) -> None:
    """Each for itself, eight would take eight times as long, and those behind them would lose their patience."""
    async with (
        open_event_store(postgres_url, clock=clock) as store,
        other.transaction() as connection,
    ):
        for n in range(8):
            await write(connection, f"s{n}")
        waits = long_waits(store)
        async with busy(store):
            tasks = [appending(store, f"s{n}") for n in range(9)]
            await queued(store, 9)
        outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [EventStoreUnavailable] * 8 + [int]
    assert len(waits) == 1


async def test_locks_that_several_alsos_wait_for_are_waited_for_once(
    postgres_url: str, clock: FakeClock, other: SqlEventStore, short_locks: None
) -> None:
    async def needs_it(connection: AsyncConnection) -> None:
        await write(connection, "held")

    async with (
        open_event_store(postgres_url, clock=clock) as store,
        other.transaction() as connection,
    ):
        await write(connection, "held")
        waits = long_waits(store)
        async with busy(store):
            tasks = [*(appending(store, f"s{n}", also=needs_it) for n in range(6)), appending(store, "free")]
            await queued(store, 7)
        outcomes = await settled(*tasks)

    assert [type(each) for each in outcomes] == [EventStoreUnavailable] * 6 + [int]
    assert len(waits) == 1


async def test_a_lock_that_is_met_alone_is_waited_for_once(
    postgres_url: str, clock: FakeClock, other: SqlEventStore, short_locks: None
) -> None:
    async with open_event_store(postgres_url, clock=clock) as store:
        waited: list[int] = []

        async def needs_it(transaction: AsyncConnection) -> None:
            waited.append(1)
            await write(transaction, "b")

        async with other.transaction() as connection:
            await write(connection, "b")
            [outcome] = await settled(appending(store, "a", also=needs_it))

        assert isinstance(outcome, EventStoreUnavailable)
        assert waited == [1]
