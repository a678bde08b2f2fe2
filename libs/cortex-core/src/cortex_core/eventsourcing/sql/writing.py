"""What a group says to the database: one look for all its streams, one insert a table.

SQLite's driver is spoken to directly, in one hop into its thread: by SQLAlchemy each statement would be a hop, and a
row's way through its types costs more than its insertion does. PostgreSQL is spoken to by SQLAlchemy.

Statements are of few sizes, so that the database and its driver have them ready: the places up to the next power of
two are filled with the last key again.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from sqlalchemy import Table, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.appending import EVENT, MESSAGE, Append, Key, Verdict, View
from cortex_core.eventsourcing.sql.faults import is_duplicate
from cortex_core.eventsourcing.sql.sqlite_driver import OneHop
from cortex_core.kernel.clock import rfc3339

What = Literal["versions", "epochs", "leases"]

_OF_STREAM: Final = "FROM events AS e WHERE e.tenant = w.column1 AND e.stream = w.column2"
_QUERIES: Final[Mapping[What, str]] = {  # of constants and placeholders only, and so are those below
    "versions": f"SELECT w.column1, w.column2, (SELECT max(e.version) {_OF_STREAM}) FROM (VALUES {{keys}}) AS w",  # noqa: S608
    # Of one stream epochs only grow, the zeros of unfenced writers aside: the last of the others is the highest.
    "epochs": "SELECT w.column1, w.column2,"  # noqa: S608
    f" (SELECT e.epoch {_OF_STREAM} AND e.epoch > 0 ORDER BY e.version DESC LIMIT 1) FROM (VALUES {{keys}}) AS w",
    "leases": "SELECT tenant, name, epoch FROM leases WHERE (tenant, name) IN (VALUES {keys}) ORDER BY tenant, name",
}
# Its writers do not take turns: a lease's row is kept as it is until the transaction ends, so that a take-over comes
# before it or after it.
_POSTGRESQL: Final[Mapping[What, str]] = {**_QUERIES, "leases": f"{_QUERIES['leases']} FOR SHARE"}
_INSERT_EVENT: Final = f"INSERT INTO events ({', '.join(EVENT)}, time) VALUES ({'?, ' * len(EVENT)}?)"  # noqa: S608
_INSERT_MESSAGE: Final = f"INSERT INTO outbox ({', '.join(MESSAGE)}, created_at) VALUES ({'?, ' * len(MESSAGE)}?)"  # noqa: S608


class Taken(Exception):
    """Never leaves the package: a row that must be unique was there already. `race`: an event of that version, which a
    writer of another process has committed since the look; otherwise an id."""

    def __init__(self, what: str, *, race: bool) -> None:
        super().__init__(what)
        self.what, self.race = what, race


async def write(connection: AsyncConnection, group: Sequence[Append]) -> list[Verdict]:
    """Looks, judges, inserts what may stand. Raises Taken, and what the database says: then nothing of it counts."""
    driver = (await connection.get_raw_connection()).driver_connection
    if isinstance(driver, OneHop):
        return await _write_in_one_hop(driver, group)
    view = await look(connection, group)
    verdicts = [view.verdict(append) for append in group]
    accepted = [append for append, verdict in zip(group, verdicts, strict=True) if verdict is None]
    await _insert(
        connection, schema.events, [row for append in accepted for row in _event_values(append.events, append.time)]
    )
    await _insert(
        connection, schema.outbox, [row for append in accepted for row in _message_values(append.messages, append.time)]
    )
    return verdicts


async def look(connection: AsyncConnection, group: Sequence[Append]) -> View:
    """One statement for all streams, however many; two more where somebody gave a fence."""
    queries = _POSTGRESQL if connection.dialect.name == "postgresql" else _QUERIES

    async def found(what: What, keys: Sequence[Key]) -> Iterable[Any]:
        places = _places(keys)
        statement = text(_numbered(queries[what], len(places) // 2))
        return await connection.execute(statement, {f"p{n}": part for n, part in enumerate(places)})

    return View(
        _by_key(await found("versions", [append.key for append in group])),
        _by_key(await found("epochs", streams) if (streams := _fenced_streams(group)) else ()),
        _by_key(await found("leases", leases) if (leases := _leases(group)) else ()),
    )


async def insert_messages(connection: AsyncConnection, rows: Sequence[tuple[Any, ...]], time: datetime) -> None:
    """Messages without an event. Raises Taken."""
    await _insert(connection, schema.outbox, _message_values(rows, time))


async def _insert(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    try:
        await connection.execute(insert(table), rows)
    except IntegrityError as error:
        taken = _taken(error)
        if taken is error:
            raise
        raise taken from error


async def _write_in_one_hop(driver: OneHop, group: Sequence[Append]) -> list[Verdict]:
    try:
        return await driver.work(lambda connection: _write_there(connection, group))
    except sqlite3.Error as error:
        wrapped = DBAPIError.instance("(appends)", None, error, sqlite3.Error, hide_parameters=True)
        raise (_taken(wrapped) if isinstance(wrapped, IntegrityError) else wrapped) from error


def _write_there(connection: sqlite3.Connection, group: Sequence[Append]) -> list[Verdict]:
    def found(what: What, keys: Sequence[Key]) -> Iterable[Any]:
        places = _places(keys)
        return connection.execute(_marked(_QUERIES[what], len(places) // 2), places)

    view = View(
        _by_key(found("versions", [append.key for append in group])),
        _by_key(found("epochs", streams) if (streams := _fenced_streams(group)) else ()),
        _by_key(found("leases", leases) if (leases := _leases(group)) else ()),
    )
    verdicts: list[Verdict] = []
    events: list[tuple[Any, ...]] = []
    messages: list[tuple[Any, ...]] = []
    for append in group:
        verdict = view.verdict(append)
        verdicts.append(verdict)
        if verdict is None:
            time = rfc3339(append.time)
            events += [(*row, time) for row in append.events]
            messages += [(*row, time) for row in append.messages]
    connection.executemany(_INSERT_EVENT, events)
    connection.executemany(_INSERT_MESSAGE, messages)
    return verdicts


def _event_values(rows: Sequence[tuple[Any, ...]], time: datetime) -> list[dict[str, Any]]:
    return [dict(zip(EVENT, row, strict=True), time=time) for row in rows]


def _message_values(rows: Sequence[tuple[Any, ...]], time: datetime) -> list[dict[str, Any]]:
    return [dict(zip(MESSAGE, row, strict=True), created_at=time) for row in rows]


def _fenced_streams(group: Sequence[Append]) -> list[Key]:
    return [append.key for append in group if append.fence is not None]


def _leases(group: Sequence[Append]) -> list[Key]:
    return [lease for append in group if (lease := append.lease) is not None]


def _places(keys: Sequence[Key]) -> list[str]:
    """The keys, each once, one part after the other."""
    wanted = list(dict.fromkeys(keys))
    wanted += wanted[-1:] * ((1 << (len(wanted) - 1).bit_length()) - len(wanted))
    return [part for key in wanted for part in key]


def _by_key(rows: Iterable[Any]) -> dict[Key, int]:
    """A key of which there is nothing is absent."""
    return {(row[0], row[1]): row[2] for row in rows if row[2] is not None}


@lru_cache(maxsize=64)
def _marked(query: str, keys: int) -> str:
    return query.format(keys=", ".join(["(?, ?)"] * keys))


@lru_cache(maxsize=64)
def _numbered(query: str, keys: int) -> str:
    return query.format(keys=", ".join(f"(:p{2 * n}, :p{2 * n + 1})" for n in range(keys)))


def _taken(error: IntegrityError) -> Taken | IntegrityError:
    """Taken where a UNIQUE constraint was hit, rather than any other."""
    if not is_duplicate(error):
        return error
    said = str(error.orig)
    what = "a message's id" if "outbox" in said else "an event's id"
    return Taken(what, race="events_tenant_stream_version" in said)
