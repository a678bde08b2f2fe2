"""aiosqlite with one hop a statement.

A connection of aiosqlite has a thread, and each call goes there and back. SQLAlchemy makes four of a statement: a
cursor, its execution, its rows, its end. A hop costs more than most statements do (50 µs against 10), so here a cursor
is made, run, read to its end and closed in one. And who has much to do may do it over there: `work`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL as _STOP
from aiosqlite.core import set_exception, set_result

T = TypeVar("T")

Calls = SimpleQueue[tuple[asyncio.Future[Any] | None, Callable[[], Any]]]


def _run(calls: Calls) -> None:
    """aiosqlite's own thread ends, with a traceback and its connection open, where the loop that asked has closed."""
    while True:
        future, call = calls.get()
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            _answer(future, set_exception, error)
        else:
            _answer(future, set_result, result)
            if result is _STOP:
                break


def _answer(future: asyncio.Future[Any] | None, settle: Callable[[asyncio.Future[Any], Any], None], what: Any) -> None:
    if future:
        with suppress(RuntimeError):  # the loop is closed
            future.get_loop().call_soon_threadsafe(settle, future, what)


class Connection(sqlite3.Connection):
    """Ends its transaction before it closes. A statement whose caller was cancelled is not finalized, and with such a
    statement SQLite keeps a closed connection, and its write lock, alive (https://www.sqlite.org/c3ref/close.html)."""

    def close(self) -> None:
        try:
            self.rollback()
        finally:
            super().close()


class Cursor:
    """As much of a cursor as SQLAlchemy asks for: https://docs.sqlalchemy.org/en/21/ (connectors/asyncio.py)."""

    arraysize = 1

    def __init__(self, connection: "OneHop") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> Self:
        return await self._run(lambda cursor: cursor.execute(statement, parameters))

    async def executemany(self, statement: str, parameters: Iterable[Any]) -> Self:
        return await self._run(lambda cursor: cursor.executemany(statement, parameters))

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        """The real one was closed where it was made."""

    async def _run(self, call: Callable[[sqlite3.Cursor], object]) -> Self:
        def there(connection: sqlite3.Connection) -> None:
            cursor = connection.cursor()
            try:
                call(cursor)
                self._rows = cursor.fetchall()
                self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()

        await self._connection.work(there)
        return self


class OneHop(aiosqlite.Connection):
    """For `create_async_engine(async_creator=...)`: awaited, it is connected."""

    def __init__(self, file: str, busy_timeout: float) -> None:
        """`busy_timeout` (seconds): how long a statement waits for another process's lock. The driver begins nothing by
        itself (`isolation_level` None): who uses it does."""
        super().__init__(
            lambda: sqlite3.connect(file, timeout=busy_timeout, factory=Connection, isolation_level=None),
            iter_chunk_size=64,
        )
        self._thread = Thread(target=_run, args=(self._tx,), daemon=True)  # a program may end with a connection open
        self._asked = self._done = 0  # calls: the one is counted by the loop's thread, the other by the connection's
        self._stopped = False

    def cursor(self) -> Cursor:  # type: ignore[override]  # it needs no hop to be made
        return Cursor(self)

    def stop(self) -> asyncio.Future[Any] | None:
        """Once: who asks a second time would wait for a thread that has ended, and a process that ends for him."""
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()

    async def rollback(self) -> None:
        """No hop where there is nothing to undo. The pool asks for it whenever a connection comes back."""
        if self._asked != self._done or self._conn.in_transaction:  # a call whose caller has left may still be running
            await super().rollback()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def counted() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self._done += 1

        self._asked += 1
        return await super()._execute(counted)  # type: ignore[no-untyped-call]  # aiosqlite's own way in

    async def work(self, task: Callable[[sqlite3.Connection], T]) -> T:
        """What `task` returns, run in the connection's thread. Raises what it raises, sqlite3's errors among that."""
        return await self._execute(task, self._conn)  # type: ignore[no-any-return]
