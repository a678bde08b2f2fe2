"""Appending: a decision made at a version, as rows; and what the database says to them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import DuplicateId, StaleVersion
from cortex_core.eventsourcing.records import NewEvent, encode, surroundings
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.faults import is_duplicate
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

_events: Final = schema.events.c


def rows_of(
    stream: str, events: Sequence[NewEvent], expected_version: int, clock: Clock, max_bytes: int
) -> list[dict[str, Any]]:
    """Raises UnstorableEvent, EventTooLarge."""
    tenant, metadata, now = current().tenant, surroundings(), clock.now()
    return [
        {
            "tenant": tenant,
            "stream": stream,
            "version": version,
            "id": event.id,
            "type": event.type,
            "schema_version": event.schema_version,
            "time": now,
            "data": encode(event, max_bytes),
            "metadata": metadata,
        }
        for version, event in enumerate(events, expected_version + 1)
    ]


async def insert_rows(connection: AsyncConnection, stream: str, rows: list[dict[str, Any]], expected: int) -> None:
    """Writers take turns, so the look decides; UNIQUE (tenant, stream, version) would hold if they did not."""
    tenant = current().tenant
    actual = await _version(connection, tenant, stream)
    if actual != expected:
        raise StaleVersion(stream, expected, actual)
    if not rows:
        return
    try:
        await connection.execute(insert(schema.events), rows)
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise DuplicateId("an event's id is there already", stream=stream) from error


async def _version(connection: AsyncConnection, tenant: str, stream: str) -> int:
    query = select(func.coalesce(func.max(_events.version), 0)).where(
        _events.tenant == tenant, _events.stream == stream
    )
    return int((await connection.execute(query)).scalar_one())
