from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import MemoryEventStore
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.eventstore import EventStoreContract, Spoil


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


class TestSqliteEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(f"sqlite+aiosqlite:///{tmp_path}/store.db", clock=clock) as store:
            yield store

    @pytest.fixture
    def spoil(self, store: SqlEventStore) -> Spoil:
        async def write(stream: str, version: int, column: str, content: bytes) -> None:
            spoiling = text(
                f"UPDATE events SET {column} = CAST(:content AS TEXT) WHERE stream = :stream AND version = :version"
            )
            async with store.transaction() as transaction:
                done = await transaction.execute(spoiling, {"content": content, "stream": stream, "version": version})
            assert done.rowcount == 1

        return write
