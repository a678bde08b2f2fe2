"""Engines: how this process speaks to the database. Writers and readers have one each.

What rows hold may be secret, and so is a URL with a password: errors name the statement without its parameters, and no
error shows a URL. What each database is asked for stands in `sqlite.py` and `postgresql.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cortex_core.eventsourcing.errors import UnusableDatabaseUrl
from cortex_core.eventsourcing.sql.engines.opened import Engines

__all__ = ["BUSY_TIMEOUT", "Engines", "open_engines"]

BUSY_TIMEOUT: Final = 5.0
_POSTGRESQL: Final = frozenset({"postgresql+asyncpg", "postgresql", "postgres"})


@asynccontextmanager
async def open_engines(database_url: str, busy_timeout: float = BUSY_TIMEOUT) -> AsyncIterator[Engines]:
    """The engines for `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host/database` (`postgresql://`
    and `postgres://` mean the same), closed with the block. Connections come with their first use.

    `busy_timeout` (seconds) is how long a writer waits for those of other processes. Raises ValueError for any other
    URL, EventStoreUnavailable.
    """
    url = _parsed(database_url)
    if url.drivername in _POSTGRESQL:
        from cortex_core.eventsourcing.sql.engines.postgresql import open_postgresql  # late: SQLite needs none of it

        opening = open_postgresql(url, busy_timeout)
    elif url.drivername == "sqlite+aiosqlite":
        from cortex_core.eventsourcing.sql.engines.sqlite import open_sqlite  # late, as above

        opening = open_sqlite(url, busy_timeout)
    else:
        raise UnusableDatabaseUrl(
            "this store speaks sqlite+aiosqlite:///path and postgresql+asyncpg://user@host/database,"
            f" not {url.drivername}"
        )
    async with opening as opened:
        yield opened


def _parsed(database_url: str) -> URL:
    try:
        return make_url(database_url)
    except (ArgumentError, ValueError):
        raise UnusableDatabaseUrl(
            "the database's URL is none: nothing like driver://host/database"
        ) from None  # it shows secrets
