"""How often a statement goes into the connection's thread, and what may not be left there."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.eventsourcing.sql.sqlite_driver import OneHop


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[OneHop]:
    driver = OneHop(f"{tmp_path}/file.db", 1.0)
    await driver
    yield driver
    await driver.close()


async def hops(store: SqlEventStore) -> int:
    """How many the writing connection has made."""
    async with store._engines.writer.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, OneHop)
        return driver._asked


async def test_an_append_takes_three_hops(sql_store: SqlEventStore) -> None:
    await sql_store.append("a", [NewEvent("ticked", {})], expected_version=0)
    before = await hops(sql_store)

    await sql_store.append("a", [NewEvent("ticked", {})], expected_version=1)

    assert await hops(sql_store) - before == 3  # BEGIN, everything, COMMIT


async def test_a_statement_takes_one(sql_store: SqlEventStore) -> None:
    await hops(sql_store)
    async with sql_store.transaction() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, OneHop)
        before = driver._asked

        rows = (await connection.execute(text("SELECT 1 UNION SELECT 2"))).all()
        done = await connection.execute(text("DELETE FROM inbox"))

        assert driver._asked - before == 2
    assert (rows, done.rowcount) == ([(1,), (2,)], 0)


async def test_work_is_done_in_the_connections_thread(driver: OneHop) -> None:
    def where(connection: sqlite3.Connection) -> tuple[int, int]:
        return threading.get_ident(), connection.execute("SELECT 7").fetchone()[0]

    thread, seven = await driver.work(where)

    assert (thread != threading.get_ident(), seven) == (True, 7)


async def test_what_work_raises_is_raised_here(driver: OneHop) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await driver.work(lambda connection: connection.execute("SELECT * FROM nowhere"))


async def test_nothing_to_undo_takes_no_hop(driver: OneHop) -> None:
    await driver.cursor().execute("SELECT 1")
    before = driver._asked

    await driver.rollback()

    assert driver._asked == before


async def test_a_transaction_is_undone(driver: OneHop) -> None:
    await driver.cursor().execute("CREATE TABLE t (x)")
    await driver.cursor().execute("BEGIN")
    await driver.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])

    await driver.rollback()

    assert not driver.in_transaction
    assert (await (await driver.cursor().execute("SELECT count(*) FROM t")).fetchall())[0][0] == 0


async def test_a_transaction_that_is_only_about_to_begin_is_undone_too(driver: OneHop) -> None:
    """Its caller has left while the call was on its way: at that moment there is no transaction yet."""
    leave = threading.Event()

    def begins(connection: sqlite3.Connection) -> None:
        leave.wait(5)
        connection.execute("BEGIN IMMEDIATE")

    leaving = asyncio.create_task(driver.work(begins))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert not driver.in_transaction

    undoing = asyncio.create_task(driver.rollback())
    await asyncio.sleep(0)
    leave.set()
    await undoing

    assert not await driver.work(lambda connection: connection.in_transaction)


async def test_a_close_that_is_cancelled_once_it_was_stopped_has_an_end(tmp_path: Path) -> None:
    """SQLAlchemy stops a connection whose close it no longer waits for, and leaves that close to itself."""
    driver = await OneHop(f"{tmp_path}/file.db", 1.0)
    closing = asyncio.create_task(driver.close())
    await asyncio.sleep(0)

    driver.stop()
    closing.cancel()

    ended, _ = await asyncio.wait({closing}, timeout=5)
    assert ended
    await asyncio.to_thread(driver._thread.join, 5)
    assert not driver._thread.is_alive()


@pytest.mark.parametrize("fails", [False, True], ids=["which went well", "which failed"])
def test_a_call_whose_loop_is_gone_ends_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """At a program's end calls are cancelled, and connections stopped that nobody waits for."""
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    ended = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        ended.wait(5)
        connection.execute("SELECT * FROM nowhere" if fails else "SELECT 1")

    async def program() -> OneHop:
        driver = await OneHop(f"{tmp_path}/file.db", 1.0)
        left = asyncio.create_task(driver.work(slow))
        await asyncio.sleep(0)
        left.cancel()
        driver.stop()
        return driver

    driver = asyncio.run(program())
    ended.set()
    driver._thread.join(5)

    assert (driver._thread.is_alive(), driver._connection, told) == (False, None, [])
