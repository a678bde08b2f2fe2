"""SQLite, for one machine.

It takes one writer at a time, so the writing engine holds one connection, for which this process's writers queue
up, and its transactions begin IMMEDIATE: a writer of another process is waited for (`busy_timeout` seconds), instead
of failing half way in. Readers see the last commit and wait for nobody (WAL).

What is deleted is overwritten with zeros; the log beside the file keeps the old pages until a checkpoint has brought
them home and new ones overwrite it.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cortex_core.eventsourcing.errors import EventStoreUnavailable, UnusableDatabaseUrl
from cortex_core.eventsourcing.sql.engines.opened import Engines
from cortex_core.eventsourcing.sql.faults import primary_code, translated
from cortex_core.eventsourcing.sql.sqlite_driver import OneHop

_READERS: Final = 4
_SETTINGS: Final = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


@asynccontextmanager
async def open_sqlite(url: URL, busy_timeout: float) -> AsyncIterator[Engines]:
    """Makes the file ready. Raises ValueError for a URL that names none, EventStoreUnavailable."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise UnusableDatabaseUrl(
            "the store needs a file, sqlite+aiosqlite:///path; in memory there is MemoryEventStore"
        )
    file = Path(url.database)
    _make_folder(file)
    with translated():
        await asyncio.to_thread(_keep_a_log, file, busy_timeout)
    writer = _engine(url, _SETTINGS, begin="BEGIN IMMEDIATE", pool_size=1, busy_timeout=busy_timeout)
    reader = _engine(url, (*_SETTINGS, "query_only=ON"), begin="BEGIN", pool_size=_READERS, busy_timeout=busy_timeout)
    try:
        yield Engines(writer=writer, reader=reader, single=reader, migrator=writer)
    finally:
        await reader.dispose()
        await writer.dispose()


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EventStoreUnavailable(f"no folder for the database: {error}") from error


def _keep_a_log(file: Path, busy_timeout: float) -> None:
    """Turns write-ahead logging on; the file remembers it. While another process does the same, SQLite says `locked` at
    once, whatever the busy timeout: so it is asked again."""
    end = time.monotonic() + busy_timeout
    with closing(sqlite3.connect(file, timeout=busy_timeout, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return


async def _opened(url: URL, busy_timeout: float) -> OneHop:
    driver = OneHop(url.database or "", busy_timeout)
    await driver
    return driver


def _engine(url: URL, settings: Sequence[str], *, begin: str, pool_size: int, busy_timeout: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=True,  # an error's text ends up in logs and traces
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_timeout * 2,
        async_creator=lambda: _opened(url, busy_timeout),
    )

    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in settings:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", start)
    return engine
