"""What a driver's error means: trouble of the database is EventStoreUnavailable; a wrong statement stays what it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from cortex_core.eventsourcing.errors import EventStoreUnavailable

# https://www.sqlite.org/rescode.html, primary codes: the file, the disk or a lock, never the statement.
_HEALS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
    }
)
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

READ_ONLY: Final = "25006"
_DUPLICATE: Final = "23505"

# https://www.postgresql.org/docs/current/errcodes-appendix.html: classes of two letters, and single codes.
_SERVER_HEALS: Final = (
    "08",  # the connection
    "25P03",  # idle in a transaction for too long
    READ_ONLY,  # a standby: a fail-over has not come to its end
    "40",  # deadlock, serialization: another transaction was in the way
    "53",  # disk full, out of memory, too many connections
    "55P03",  # a lock that was held for too long
    "57014",  # a statement that took too long
    "57P",  # shutting down, crashed, starting up
    "58",  # an I/O error of the server's system
)
_SERVER_BROKEN: Final = {
    "28": "the database does not let us in",
    "3D000": "there is no such database",
    "42501": "the database's role may not do that",
    "XX001": "the database's files are damaged",
    "XX002": "an index of the database is damaged",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises EventStoreUnavailable in place of a driver's error that means it; every other error passes as it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise EventStoreUnavailable("the database is busy: no connection came free in time") from error
    except DBAPIError as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        raise meaning from error
    except sqlite3.Error as error:  # where the driver is spoken to directly
        meaning = _meaning_in_sqlite(error)
        if meaning is None:
            raise
        raise meaning from error


def of_connection(error: Exception) -> EventStoreUnavailable:
    """What it means that a server could not be connected to. No work has begun."""
    known = _meaning_in_postgresql(error)
    if known is not None:
        return EventStoreUnavailable(known.message, retryable=known.retryable, attempted=False, awaited=known.retryable)
    said = str(error) or type(error).__name__
    return EventStoreUnavailable(f"the database cannot be reached: {said}", attempted=False, awaited=True)


def is_duplicate(error: IntegrityError) -> bool:
    """Whether a UNIQUE constraint was hit, rather than any other."""
    return (
        getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_UNIQUE
        or sqlstate(error.orig) == _DUPLICATE
    )


def primary_code(error: BaseException | None) -> int:
    """SQLite's primary result code, the low byte; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's five letters; empty where there are none."""
    return getattr(error, "sqlstate", None) or ""


def _meaning(error: DBAPIError) -> EventStoreUnavailable | None:
    known = _meaning_in_sqlite(error.orig) or _meaning_in_postgresql(error.orig)
    if known is None and error.connection_invalidated:
        return EventStoreUnavailable(f"the connection to the database is gone: {error.orig}", awaited=True)
    return known


def _meaning_in_sqlite(error: BaseException | None) -> EventStoreUnavailable | None:
    if primary_code(error) in _HEALS:
        return EventStoreUnavailable(f"the database cannot do it now: {error}")
    if primary_code(error) in _BROKEN:
        return EventStoreUnavailable(f"the database file is damaged: {error}", retryable=False)
    return None


def _meaning_in_postgresql(error: BaseException | None) -> EventStoreUnavailable | None:
    state = sqlstate(error)
    if state.startswith(_SERVER_HEALS):
        return EventStoreUnavailable(f"the database cannot do it now: {error} ({state})", awaited=True)
    for prefix, words in _SERVER_BROKEN.items():
        if state.startswith(prefix):
            return EventStoreUnavailable(f"{words}: {error} ({state})", retryable=False)
    return None
