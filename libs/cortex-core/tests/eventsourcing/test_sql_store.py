"""What only the durable store can promise, within one process. Kills are in test_store_crashes.py."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from cortex_core.eventsourcing import (
    CorruptEvent,
    EventStoreUnavailable,
    Message,
    NewEvent,
    StaleVersion,
)
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.engines import BUSY_TIMEOUT
from cortex_core.kernel.errors import Kind
from cortex_core.testing import FakeClock


def placed() -> NewEvent:
    return NewEvent("order.created", {"total": 2500})


async def test_events_outlive_the_store(database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock) as store:
        await store.append("a", [placed()], expected_version=0, messages=[Message("m", "order", "a", b"{}")])
        before = await store.read("a")

    async with open_event_store(database_url, clock=clock) as store:
        assert await store.read("a") == before
        assert [each.id for each in await store.outbox.pending(10)] == ["m"]
        assert await store.append("a", [placed()], expected_version=1) == 2


async def test_the_folder_is_made(tmp_path: Path) -> None:
    async with open_event_store(f"sqlite+aiosqlite:///{tmp_path}/not/yet/there/store.db") as store:
        await store.check()

    assert (tmp_path / "not/yet/there/store.db").exists()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EventStoreUnavailable, match="no folder"):
        async with open_event_store(f"sqlite+aiosqlite:///{tmp_path}/file/store.db"):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:x?mode=memory&uri=true",
        "sqlite:///store.db",
        "mysql+aiomysql://localhost/orders",
    ],
)
async def test_what_it_has_not_been_proven_on_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite\\+aiosqlite:///path"):
        async with open_event_store(url):
            pass


async def test_a_commit_is_on_the_disk(sql_store: SqlEventStore) -> None:
    async with sql_store.transaction() as writer, sql_store.reading() as reader:
        for connection in (writer, reader):
            settings = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert settings == ["wal", 2, 1]  # 2 is FULL: the log is synced at each commit


async def test_readers_cannot_write(sql_store: SqlEventStore) -> None:
    with pytest.raises(EventStoreUnavailable, match="readonly"):
        async with sql_store.reading() as connection:
            await connection.execute(text("DELETE FROM events"))


async def test_a_reader_sees_the_last_commit_and_waits_for_nobody(sql_store: SqlEventStore) -> None:
    await sql_store.append("a", [placed()], expected_version=0)

    async with sql_store.transaction() as writer:
        await writer.execute(text("DELETE FROM events"))
        assert len(await asyncio.wait_for(sql_store.read("a"), 30)) == 1
        await writer.rollback()


async def test_the_second_of_two_writers_waits(database_url: str, clock: FakeClock) -> None:
    """Two stores on one file are two processes to SQLite: each has its own connections."""
    async with open_event_store(database_url, clock=clock) as one, open_event_store(database_url, clock=clock) as two:
        async with one.transaction() as writer:
            await writer.execute(text("DELETE FROM inbox"))
            second = asyncio.create_task(two.append("a", [placed()], expected_version=0))
            await asyncio.wait([second], timeout=0.3)
            assert not second.done()

        assert await second == 1
        assert len(await one.read("a")) == 1


async def test_two_processes_worth_of_writers_share_a_stream(database_url: str, clock: FakeClock) -> None:
    wins: list[int] = []

    async def writer(store: SqlEventStore) -> None:
        while True:
            version = len(await store.read("a"))
            with contextlib.suppress(StaleVersion):
                wins.append(await store.append("a", [placed()], expected_version=version))
                return

    async with open_event_store(database_url, clock=clock) as one, open_event_store(database_url, clock=clock) as two:
        await asyncio.gather(*(writer(store) for store in (one, two) for _ in range(8)))
        assert [each.version for each in await two.read("a")] == list(range(1, 17))
    assert sorted(wins) == list(range(1, 17))


async def test_a_lock_held_for_too_long_is_unavailable(database_url: str, clock: FakeClock) -> None:
    async with (
        open_event_store(database_url, clock=clock) as one,
        open_event_store(database_url, clock=clock, busy_timeout=0.1) as two,
    ):
        two._turns._patience = two._group._patience = (
            60.0  # the machine may stand still: the lock's time is to end first
        )
        async with one.transaction():
            with pytest.raises(EventStoreUnavailable, match="locked") as caught:
                await two.append("a", [placed()], expected_version=0)

        assert (caught.value.code, caught.value.retryable) == ("event-store.unavailable", True)
        assert await two.append("a", [placed()], expected_version=0) == 1


async def test_a_queue_of_writers_that_does_not_move_is_unavailable(
    sql_store: SqlEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sql_store.transaction():
        with monkeypatch.context() as here, pytest.raises(EventStoreUnavailable, match="busy") as caught:
            here.setattr(sql_store._turns, "_patience", 0.1)
            await asyncio.create_task(sql_store.append("a", [placed()], expected_version=0))
        assert not caught.value.attempted

    assert await sql_store.append("a", [placed()], expected_version=0) == 1


async def test_a_full_disk_acknowledges_nothing(sql_store: SqlEventStore) -> None:
    async with sql_store.transaction() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages + 4}"))

    acknowledged = 0
    with pytest.raises(EventStoreUnavailable, match="full") as caught:
        for _ in range(100):
            big = NewEvent("order.created", {"note": "x" * 4096})
            acknowledged = await sql_store.append("a", [big], expected_version=acknowledged)

    assert caught.value.kind is Kind.UNAVAILABLE
    assert [each.version for each in await sql_store.read("a")] == list(range(1, acknowledged + 1))
    async with sql_store.transaction() as connection:
        await connection.execute(text(f"PRAGMA max_page_count = {pages + 400}"))  # somebody made room
    assert await sql_store.append("a", [placed()], expected_version=acknowledged) == acknowledged + 1


async def test_a_damaged_file_is_said_and_not_retried(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database" * 1000)

    with pytest.raises(EventStoreUnavailable, match="damaged") as caught:
        async with open_event_store(database_url):
            pass

    assert not caught.value.retryable


async def test_a_wrong_statement_stays_what_it_is(sql_store: SqlEventStore) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        async with sql_store.transaction() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


async def test_an_error_of_the_database_does_not_show_what_was_to_be_written(sql_store: SqlEventStore) -> None:
    async with sql_store.transaction() as connection:
        await connection.execute(
            text("CREATE TRIGGER boom BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'disk trouble'); END")
        )

    with pytest.raises(IntegrityError, match="disk trouble") as caught:
        await sql_store.append("a", [placed()], expected_version=0, messages=[Message("m", "o", "canary-77", b"{}")])

    assert "canary-77" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


async def test_what_was_deleted_is_not_in_the_file_any_more(database_url: str, tmp_path: Path) -> None:
    """Once its log is folded in, as when it is closed: until then old pages stay in the log."""
    async with open_event_store(database_url) as store:
        await store.append("a", [placed()], expected_version=0)
        await store.append("b", [NewEvent("order.created", {"note": "canary-77"})], expected_version=0)
    assert b"canary-77" in (tmp_path / "store.db").read_bytes()

    async with open_event_store(database_url) as store, store.transaction() as connection:
        await connection.execute(text("DELETE FROM events WHERE stream = 'b'"))

    assert b"canary-77" not in (tmp_path / "store.db").read_bytes()
    assert not (tmp_path / "store.db-wal").exists()


async def test_a_broken_time_is_corrupt_too(sql_store: SqlEventStore) -> None:
    await sql_store.append("a", [placed()], expected_version=0)
    async with sql_store.transaction() as connection:
        await connection.execute(text("UPDATE events SET time = 'yesterday'"))

    with pytest.raises(CorruptEvent, match="version 1 of a is corrupt: its time"):
        await sql_store.read("a")


async def test_a_column_holds_its_type(sql_store: SqlEventStore) -> None:
    await sql_store.append("a", [placed()], expected_version=0)

    with pytest.raises(Exception, match="cannot store TEXT value in INTEGER column"):
        async with sql_store.transaction() as connection:
            await connection.execute(text("UPDATE events SET version = 'one'"))


async def test_cancelled_at_any_moment_a_transaction_leaves_the_database_free(sql_store: SqlEventStore) -> None:
    """SQLite keeps a closed connection's lock while one of its statements is not finalized: engines._Connection."""
    slowest = 0.0
    for number in range(60):

        async def work(name: str = f"m{number}") -> None:
            async with sql_store.transaction() as connection:
                await sql_store.enqueue(connection, [Message(name, "order", "a", b"{}")])
                await connection.execute(text("SELECT 1"))

        leaving = asyncio.create_task(work())
        for _ in range(number):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0002 * number if number % 2 else 0)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving

        began = time.monotonic()
        await sql_store.append("a", [placed()], expected_version=number)
        slowest = max(slowest, time.monotonic() - began)

    assert slowest < BUSY_TIMEOUT / 2, "a writer waited for a lock nobody held"


async def test_positions_are_never_used_twice(sql_store: SqlEventStore) -> None:
    await sql_store.append("a", [placed(), placed()], expected_version=0)
    async with sql_store.transaction() as connection:
        await connection.execute(text("DELETE FROM events"))

    await sql_store.append("b", [placed()], expected_version=0)

    assert [each.position for each in await sql_store.read_all()] == [3]


async def test_what_was_sent_is_kept_for_repair(sql_store: SqlEventStore, clock: FakeClock) -> None:
    await sql_store.append("a", [placed()], expected_version=0, messages=[Message("m", "order", "a", b"{}")])
    await clock.advance(3)
    await sql_store.outbox.mark_sent(["m"])
    await clock.advance(3)
    await sql_store.outbox.mark_sent(["m"])  # the second mark changes nothing

    async with sql_store.reading() as connection:
        rows = (await connection.execute(text("SELECT id, topic, tenant, created_at, sent_at FROM outbox"))).all()

    assert rows == [("m", "order", "public", "2026-11-23T12:00:00.000000Z", "2026-11-23T12:00:03.000000Z")]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM outbox WHERE sent_at IS NULL ORDER BY sequence LIMIT 9",
        "SELECT count(*) FROM outbox WHERE sent_at IS NULL",
    ],
)
async def test_looking_for_what_is_unsent_does_not_read_what_was_sent(sql_store: SqlEventStore, query: str) -> None:
    async with sql_store.reading() as connection:
        plan = (await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))).all()

    assert ["outbox_unsent" in row.detail for row in plan] == [True]
