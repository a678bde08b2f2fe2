"""Engines: how this process speaks to the database. Writers and readers have one each.

SQLite takes one writer at a time, so the writing engine holds one connection, for which this process's writers queue
up, and its transactions begin IMMEDIATE: a writer of another process is waited for (`busy_timeout` seconds), instead
of failing half way in. Readers see the last commit and wait for nobody (WAL). Refuses what it has not been proven on:
PostgreSQL comes with its own pair.

What rows hold may be secret. Errors name the statement without its parameters. What is deleted is overwritten with
zeros; the log beside the file keeps the old pages until a checkpoint has brought them home and new ones overwrite it.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cortex_core.eventsourcing.errors import EventStoreUnavailable
from cortex_core.eventsourcing.sql.faults import primary_code, translated

BUSY_TIMEOUT: Final = 5.0
_READERS: Final = 4
_SETTINGS: Final = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


@dataclass(frozen=True, slots=True)
class Engines:
    writer: AsyncEngine
    reader: AsyncEngine


class _Connection(sqlite3.Connection):
    """Ends its transaction before it closes. A statement whose caller was cancelled is not finalized, and with such a
    statement SQLite keeps a closed connection, and its write lock, alive (https://www.sqlite.org/c3ref/close.html)."""

    def close(self) -> None:
        try:
            self.rollback()
        finally:
            super().close()


@asynccontextmanager
async def open_engines(database_url: str, busy_timeout: float = BUSY_TIMEOUT) -> AsyncIterator[Engines]:
    """Makes the file ready; connections come with their first use, and are closed with the block.

    Raises ValueError for a URL that is no SQLite file, EventStoreUnavailable.
    """
    url = _file_url(database_url)
    file = Path(url.database or "")
    _make_folder(file)
    with translated():
        await asyncio.to_thread(_keep_a_log, file, busy_timeout)
    writer = _engine(url, _SETTINGS, begin="BEGIN IMMEDIATE", pool_size=1, busy_timeout=busy_timeout)
    reader = _engine(url, (*_SETTINGS, "query_only=ON"), begin="BEGIN", pool_size=_READERS, busy_timeout=busy_timeout)
    try:
        yield Engines(writer, reader)
    finally:
        await reader.dispose()
        await writer.dispose()


def _file_url(database_url: str) -> URL:
    url = make_url(database_url)
    if url.drivername != "sqlite+aiosqlite":
        raise ValueError(f"sqlite+aiosqlite:///path is what this store speaks, not {url.drivername}")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("the store needs a file, sqlite+aiosqlite:///path; in memory there is MemoryEventStore")
    return url


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


def _engine(url: URL, settings: Sequence[str], *, begin: str, pool_size: int, busy_timeout: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=True,  # an error's text ends up in logs and traces
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_timeout * 2,
        connect_args={"timeout": busy_timeout, "factory": _Connection},
    )

    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        cursor = connection.cursor()
        for pragma in settings:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", start)
    return engine
