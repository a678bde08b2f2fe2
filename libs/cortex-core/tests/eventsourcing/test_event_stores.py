from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import MemoryEventStore
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.kernel import current
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.eventstore import EventStoreContract, Spoil, SpoilSnapshot, TakeOver, Tally
from cortex_core.testing.contracts.eventstore.tally import MemoryTally
from cortex_core.testing.contracts.eventstore.tally_sql import SqlTally


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> MemoryEventStore:
        return MemoryEventStore(clock=clock)

    @pytest.fixture
    def spoil(self, store: MemoryEventStore) -> Spoil:
        async def write(stream: str, version: int, column: str, content: bytes) -> None:
            [row] = [each for each in store._rows if (each.stream, each.version) == (stream, version)]
            setattr(row, column, content)

        return write

    @pytest.fixture
    def spoil_snapshot(self, store: MemoryEventStore) -> SpoilSnapshot:
        async def write(stream: str, version: int, content: bytes) -> None:
            store.snapshots.rows["public", stream, version].state = content

        return write

    @pytest.fixture
    async def tally(self) -> Tally:
        return MemoryTally()

    @pytest.fixture
    def take_over(self, store: MemoryEventStore) -> TakeOver:
        async def write(lease: str, epoch: int) -> None:
            async with store.transaction():
                store.epochs[current().tenant, lease] = epoch

        return write


def take_over_by_row(store: SqlEventStore) -> TakeOver:
    upsert = text(
        "INSERT INTO leases (tenant, name, epoch) VALUES (:tenant, :name, :epoch)"
        " ON CONFLICT (tenant, name) DO UPDATE SET epoch = excluded.epoch"
    )

    async def write(lease: str, epoch: int) -> None:
        async with store.transaction() as connection:
            await connection.execute(upsert, {"tenant": current().tenant, "name": lease, "epoch": epoch})

    return write


def spoil_by_row(store: SqlEventStore, of_bytes: str) -> Spoil:
    async def write(stream: str, version: int, column: str, content: bytes) -> None:
        spoiling = text(
            f"UPDATE events SET {column} = CAST(CAST(:content AS {of_bytes}) AS TEXT)"
            " WHERE stream = :stream AND version = :version"
        )
        async with store.transaction() as transaction:
            done = await transaction.execute(spoiling, {"content": content, "stream": stream, "version": version})
        assert done.rowcount == 1

    return write


def spoil_snapshot_by_row(store: SqlEventStore, of_bytes: str) -> SpoilSnapshot:
    text_of = "CAST(CAST(:content AS BLOB) AS TEXT)" if of_bytes == "BLOB" else "convert_from(:content, 'LATIN1')"

    async def write(stream: str, version: int, content: bytes) -> None:
        spoiling = text(f"UPDATE snapshots SET state = {text_of} WHERE stream = :stream AND version = :version")
        async with store.transaction() as transaction:
            done = await transaction.execute(spoiling, {"content": content, "stream": stream, "version": version})
        assert done.rowcount == 1

    return write


class TestSqliteEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(f"sqlite+aiosqlite:///{tmp_path}/store.db", clock=clock) as store:
            yield store

    @pytest.fixture
    def spoil(self, store: SqlEventStore) -> Spoil:
        return spoil_by_row(store, "BLOB")

    @pytest.fixture
    def spoil_snapshot(self, store: SqlEventStore) -> SpoilSnapshot:
        return spoil_snapshot_by_row(store, "BLOB")

    @pytest.fixture
    async def tally(self, store: SqlEventStore) -> Tally:
        return await SqlTally.create(store)

    @pytest.fixture
    def take_over(self, store: SqlEventStore) -> TakeOver:
        return take_over_by_row(store)


class TestPostgresEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, postgres_url: str) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(postgres_url, clock=clock) as store:
            yield store

    @pytest.fixture
    async def spoil(self, store: SqlEventStore) -> Spoil:
        """Bytes become text past every check of their encoding."""
        async with store.transaction() as transaction:
            await transaction.execute(text("CREATE CAST (bytea AS text) WITHOUT FUNCTION"))
        return spoil_by_row(store, "BYTEA")

    @pytest.fixture
    def spoil_snapshot(self, store: SqlEventStore) -> SpoilSnapshot:
        return spoil_snapshot_by_row(store, "BYTEA")

    @pytest.fixture
    async def tally(self, store: SqlEventStore) -> Tally:
        return await SqlTally.create(store)

    @pytest.fixture
    def take_over(self, store: SqlEventStore) -> TakeOver:
        return take_over_by_row(store)
