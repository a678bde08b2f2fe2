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


@contextmanager
def translated() -> Iterator[None]:
    """Raises EventStoreUnavailable in place of a driver's error that means it; every other error passes as it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise EventStoreUnavailable("the database is busy: no connection came free in time") from error
    except DBAPIError as error:
        raise (_meaning(error.orig) or error) from error
    except sqlite3.Error as error:  # where the driver is spoken to directly
        raise (_meaning(error) or error) from error


def is_duplicate(error: IntegrityError) -> bool:
    """Whether a UNIQUE constraint was hit, rather than any other."""
    return getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_UNIQUE


def primary_code(error: BaseException | None) -> int:
    """SQLite's primary result code, the low byte; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _meaning(error: BaseException | None) -> EventStoreUnavailable | None:
    if primary_code(error) in _HEALS:
        return EventStoreUnavailable(f"the database cannot do it now: {error}")
    if primary_code(error) in _BROKEN:
        return EventStoreUnavailable(f"the database file is damaged: {error}", retryable=False)
    return None
