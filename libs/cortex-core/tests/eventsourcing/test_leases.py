import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from cortex_core.eventsourcing import Leases, MemoryEventStore
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store, schema
from cortex_core.eventsourcing.sql.leases import epoch_of
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.leases import LeasesContract, PassTime


class TestMemoryLeases(LeasesContract):
    @pytest.fixture
    async def leases(self, clock: FakeClock) -> Leases:
        return MemoryEventStore(clock=clock).leases

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


class TestSqliteLeases(LeasesContract):
    @pytest.fixture
    async def leases(self, sql_store: SqlEventStore) -> Leases:
        return sql_store.leases

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


class TestPostgresLeases(LeasesContract):
    """By the server's clock, which nobody moves: as if time had passed, the rows are put back instead."""

    @pytest.fixture
    async def store(self, postgres_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
        async with open_event_store(postgres_url, clock=clock) as store:
            yield store

    @pytest.fixture
    async def leases(self, store: SqlEventStore) -> Leases:
        return store.leases

    @pytest.fixture
    def pass_time(self, store: SqlEventStore) -> PassTime:
        back = text("UPDATE leases SET expires_at = expires_at - make_interval(secs => :seconds)")

        async def put_back(seconds: float) -> None:
            async with store.transaction() as connection:
                await connection.execute(back, {"seconds": seconds})

        return put_back

    async def test_its_clock_is_the_servers(self, store: SqlEventStore, clock: FakeClock) -> None:
        await clock.advance(1e6)
        lease = await store.leases.acquire("relay", "a", 60)
        assert lease is not None
        assert abs((lease.expires_at - datetime.now(UTC)).total_seconds() - 60) < 5

    async def test_a_take_over_waits_for_a_write_that_has_shown_its_fence(self, store: SqlEventStore) -> None:
        """And not the other way round: the row is locked from the look to the commit."""
        lease = await store.leases.acquire("relay", "a", 60)
        assert lease is not None
        async with store.transaction() as connection:
            assert await epoch_of(connection, "relay") == 1
            taking = asyncio.create_task(store.leases.acquire("relay", "a", 60))
            await asyncio.wait({taking}, timeout=0.05)
            assert not taking.done()
        taken = await taking
        assert taken is not None and taken.epoch == 2


async def test_two_processes_share_the_rows(sql_store: SqlEventStore, database_url: str, clock: FakeClock) -> None:
    async with open_event_store(database_url, clock=clock) as other:
        assert await sql_store.leases.acquire("relay", "a", 10) is not None
        assert await other.leases.acquire("relay", "b", 10) is None
        await clock.advance(10)
        assert await other.leases.acquire("relay", "b", 10) is not None


async def test_a_row_is_never_deleted(sql_store: SqlEventStore) -> None:
    lease = await sql_store.leases.acquire("relay", "a", 10)
    assert lease is not None

    await sql_store.leases.release(lease)

    async with sql_store.reading() as connection:
        row = (await connection.execute(select(schema.leases))).one()
    assert tuple(row) == ("public", "relay", 1, None, None)
