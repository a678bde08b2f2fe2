"""No gap is skipped on PostgreSQL, where positions become visible out of order; and none is waited for in vain."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cortex_core.eventsourcing import NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store, schema
from cortex_core.eventsourcing.sql.positions import Look
from cortex_core.testing import PostgresServer, eventually

_INSERT = text(
    "INSERT INTO events (tenant, stream, version, id, type, schema_version, time, data, metadata)"
    " VALUES ('public', :name, 1, :name, 'ticked', 1, now(), '{}', '{}') RETURNING position"
)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(postgres_url) as store:
        yield store


@pytest.fixture
async def others(postgres_url: str, store: SqlEventStore) -> AsyncIterator[AsyncEngine]:
    """Connections of other processes."""
    engine = create_async_engine(postgres_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def writing(others: AsyncEngine, *names: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that has written an event a name, and is still open. The block's end undoes what it has not
    committed."""
    async with others.connect() as connection:
        for name in names:
            await connection.execute(_INSERT, {"name": name})
        yield connection


async def committed(others: AsyncEngine, *names: str) -> None:
    async with writing(others, *names) as connection:
        await connection.commit()


async def streams(store: SqlEventStore, after: int = 0, limit: int = 500) -> list[str]:
    return [each.stream for each in await store.read_all(after=after, limit=limit)]


async def test_what_is_committed_late_into_a_low_position_is_not_skipped(
    store: SqlEventStore, others: AsyncEngine
) -> None:
    await committed(others, "first")
    async with writing(others, "low") as slow:
        await committed(others, "high")
        for _ in range(3):
            assert await streams(store) == ["first"]
        await slow.commit()

    assert await streams(store) == ["first", "low", "high"]


async def test_control_a_reader_that_looks_at_positions_only_skips_it(
    store: SqlEventStore, others: AsyncEngine
) -> None:
    async def naive(after: int) -> list[tuple[int, str]]:
        query = select(schema.events.c.position, schema.events.c.stream).where(schema.events.c.position > after)
        async with store.reading() as connection:
            return [(row[0], row[1]) for row in (await connection.execute(query.order_by("position"))).all()]

    async with writing(others, "low") as slow:
        await committed(others, "high")
        seen = await naive(0)
        await slow.commit()
    seen += await naive(seen[-1][0])

    assert [stream for _, stream in seen] == ["high"], "the fault did not fire"


async def test_what_was_undone_keeps_nobody_waiting(store: SqlEventStore, others: AsyncEngine) -> None:
    async with writing(others, "undone", "undone too") as slow:
        await committed(others, "high")
        assert await streams(store) == []
        await slow.rollback()

    assert await streams(store) == ["high"]


async def test_a_writer_whose_connection_is_lost_keeps_nobody_waiting(
    store: SqlEventStore, others: AsyncEngine, postgres_server: PostgresServer
) -> None:
    async with writing(others, "lost") as slow:
        backend = (await slow.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await committed(others, "high")
        assert await streams(store) == []
        postgres_server.execute(f"SELECT pg_terminate_backend({backend})")
        await slow.invalidate()

        assert await eventually(lambda: streams(store)) == ["high"]


async def test_a_transaction_that_was_first_to_get_its_number_may_come_last(
    store: SqlEventStore, others: AsyncEngine
) -> None:
    """Numbers of transactions and positions need not agree, and the newest number is not the newest completed."""
    async with writing(others) as early, writing(others) as late:
        for connection in (early, late):
            await connection.execute(text("SELECT pg_current_xact_id()"))
        await late.execute(_INSERT, {"name": "late"})
        await early.execute(_INSERT, {"name": "early"})
        await early.commit()
        for _ in range(3):
            assert await streams(store) == []
        await late.commit()

    assert await streams(store) == ["late", "early"]


async def test_control_numbers_of_transactions_do_not_tell_who_may_still_fill_a_gap(
    store: SqlEventStore, others: AsyncEngine
) -> None:
    """The rule `settled once xmin has reached the xmax of then` passes this gap with its writer still there."""

    async def number(of: str) -> int:
        async with store.reading() as connection:
            found = await connection.execute(text(f"SELECT pg_snapshot_{of}(pg_current_snapshot())::text::bigint"))
            return int(found.scalar_one())

    async with writing(others) as early, writing(others) as late:
        for connection in (early, late):
            await connection.execute(text("SELECT pg_current_xact_id()"))
        await late.execute(_INSERT, {"name": "low"})
        await early.execute(_INSERT, {"name": "high"})
        await early.commit()

        assert await number("xmin") >= await number("xmax"), "the fault did not fire"
        assert await streams(store) == []
        await late.commit()


async def test_who_writes_something_else_keeps_nobody_waiting(
    store: SqlEventStore, others: AsyncEngine, postgres_server: PostgresServer
) -> None:
    """A long transaction in another table, or another database of the server, holds no position of ours."""
    with postgres_server.database() as elsewhere:
        foreign = create_async_engine(elsewhere, poolclass=NullPool)
        async with open_event_store(elsewhere):
            pass
        async with writing(others) as long, writing(foreign, "in another database"):
            await long.execute(text("INSERT INTO inbox VALUES ('public', 'c', 'evt_1', now())"))
            async with writing(others, "undone"):
                await committed(others, "high")

            assert await streams(store) == ["high"]
        await foreign.dispose()


async def test_thousands_of_old_gaps_cost_one_look(store: SqlEventStore, others: AsyncEngine) -> None:
    async with others.begin() as connection:
        for number in range(300):
            await connection.execute(_INSERT, {"name": f"s{number}"})
            await connection.execute(text("SELECT nextval('events_position_seq') FROM generate_series(1, 10)"))

    assert len(await streams(store, limit=300)) == 300


async def test_a_gap_that_is_open_costs_only_what_comes_after_it(store: SqlEventStore, others: AsyncEngine) -> None:
    async with writing(others, "old and undone"):
        await committed(others, "a", "b")
    read = await store.read_all()
    assert [each.stream for each in read] == ["a", "b"]
    async with writing(others, "open") as slow:
        await committed(others, "c")

        assert await streams(store) == ["a", "b"]
        assert await streams(store, after=read[-1].position) == []
        await slow.commit()

    assert await streams(store, after=read[-1].position) == ["open", "c"]


async def test_writers_that_overlap_without_end_do_not_hold_back_what_is_settled(
    store: SqlEventStore, others: AsyncEngine
) -> None:
    """There is always one open. A gap of an earlier one is passed all the same, once those of its time have ended."""
    async with AsyncExitStack() as stack:
        open_now = await stack.enter_async_context(writing(others, "undone"))
        await committed(others, "target")
        assert await streams(store) == []
        for number in range(3):
            following = await stack.enter_async_context(writing(others, f"w{number}"))
            await open_now.rollback() if number == 0 else await open_now.commit()
            open_now = following
            read = await streams(store)
        assert read[0] == "target"
        assert "w2" not in read


async def test_a_store_without_gaps_is_read_without_a_look(
    store: SqlEventStore, others: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(connection: AsyncConnection) -> Look:
        raise AssertionError("there is nothing to look for")

    monkeypatch.setattr("cortex_core.eventsourcing.sql.reading.look", never)
    await store.append("a", [NewEvent("ticked", {}) for _ in range(5)], expected_version=0)

    async with writing(others, "open"):
        read = await store.read_all(limit=3)
        assert [each.version for each in read + await store.read_all(after=read[-1].position)] == [1, 2, 3, 4, 5]


async def test_rows_are_judged_by_what_was_settled_before_they_were_read(
    store: SqlEventStore, others: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our statement and its judgement another reader learns that all is settled: in later snapshots."""
    from cortex_core.eventsourcing.sql import reading

    rows_of, interrupted = reading._rows, False

    async def rows_then_interruption(connection: AsyncConnection, query: object) -> Sequence[object]:
        nonlocal interrupted
        rows: Sequence[object] = await rows_of(connection, query)  # type: ignore[arg-type]
        if not interrupted:
            interrupted = True
            await slow.commit()
            assert await streams(store) == ["low", "high"]
        return rows

    async with writing(others, "undone"):
        pass
    async with writing(others, "low") as slow:
        await committed(others, "high")
        monkeypatch.setattr(reading, "_rows", rows_then_interruption)

        assert await streams(store) == ["low", "high"]
        assert interrupted
