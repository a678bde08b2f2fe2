"""Files in SQL: a stream `file/<cid>` each, with `file.stored` as its one event, and a table to find and list them by.

The table is a projection, written in the transaction of the event: whatever it says can be said again from the events.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Index, MetaData, Table, UniqueConstraint, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_contracts import FileStored
from cortex_core.events import CloudEvent
from cortex_core.eventsourcing import EventStoreUnavailable, Message, NewEvent, StaleVersion
from cortex_core.eventsourcing.sql import Key, SqlEventStore, Timestamp
from cortex_core.eventsourcing.sql.schema import Whole
from cortex_core.ipfs import Cid
from cortex_core.kernel import current
from cortex_storage.domain import FileNotFound, InvalidCursor, StorageUnavailable, StoredFile
from cortex_storage.ports import Page

SOURCE: Final = "/cortex/storage"

metadata: Final = MetaData()

files: Final = Table(
    "files",
    metadata,
    Column("sequence", Whole, primary_key=True, autoincrement=True),
    Column("tenant", Key, nullable=False),
    Column("cid", Key, nullable=False),
    Column("size", Whole, nullable=False),
    Column("media_type", Key),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("tenant", "cid", name="files_tenant_cid"),
    Index("files_tenant_sequence", "tenant", "sequence"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

_FILE: Final = select(files.c.cid, files.c.size, files.c.media_type, files.c.created_at)


class SqlFiles:
    """`Files` over an event store and the table beside it."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    async def add(self, file: StoredFile) -> StoredFile:
        data = FileStored(cid=str(file.cid), size=file.size, media_type=file.media_type)
        event = NewEvent(data.type, data.wire(), data.schema_version)

        async def project(connection: AsyncConnection) -> None:
            await connection.execute(insert(files).values(tenant=current().tenant, **_row(file)))

        try:
            with _available():
                await self._store.append(
                    f"file/{file.cid}",
                    [event],
                    expected_version=0,
                    messages=[_message(event, data, file.created_at)],
                    also=project,
                )
        except StaleVersion:
            return await self.find(file.cid)
        return file

    async def find(self, cid: Cid) -> StoredFile:
        query = _FILE.where(files.c.tenant == current().tenant, files.c.cid == str(cid))
        with _available():
            async with self._store.reading() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise FileNotFound(cid)
        return _file(*row)

    async def page(self, *, limit: int, after: Cid | None) -> Page:
        query = _FILE.where(files.c.tenant == current().tenant).order_by(files.c.sequence.desc()).limit(limit + 1)
        with _available():
            async with self._store.reading() as connection:
                if after is not None:
                    query = query.where(files.c.sequence < await _sequence(connection, after))
                found = [_file(*row) for row in (await connection.execute(query)).all()]
        return Page(found[:limit], found[limit - 1].cid if len(found) > limit else None)


async def _sequence(connection: AsyncConnection, cid: Cid) -> int:
    """Raises InvalidCursor: files are never forgotten, so one that is not there was never a cursor of this list."""
    query = select(files.c.sequence).where(files.c.tenant == current().tenant, files.c.cid == str(cid))
    sequence = (await connection.execute(query)).scalar_one_or_none()
    if sequence is None:
        raise InvalidCursor
    return int(sequence)


@contextmanager
def _available() -> Iterator[None]:
    """The database's trouble in the port's words."""
    try:
        yield
    except EventStoreUnavailable as error:
        raise StorageUnavailable from error


def _message(event: NewEvent, data: FileStored, time: datetime) -> Message:
    told = CloudEvent.about(
        data.type,
        source=SOURCE,
        subject=data.cid,
        data=data.wire(),
        id=event.id,
        time=time,
        version=1,
        dataschema=data.dataschema(),
    )
    return Message(told.id, told.topic, told.subject, told.to_json())


def _row(file: StoredFile) -> dict[str, Any]:
    return {
        "cid": str(file.cid),
        "size": file.size,
        "media_type": file.media_type,
        "created_at": file.created_at,
    }


def _file(cid: str, size: int, media_type: str | None, created_at: datetime) -> StoredFile:
    return StoredFile(Cid.parse(cid), size, media_type, created_at)
