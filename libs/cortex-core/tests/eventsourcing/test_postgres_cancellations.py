"""Who is cancelled leaves no connection to PostgreSQL behind."""

import asyncio

from cortex_core.eventsourcing import NewEvent
from cortex_core.eventsourcing.sql import open_event_store, upgrade
from cortex_core.kernel.ids import new_id
from cortex_core.testing import PostgresServer, eventually
from cortex_core.testing.cancelling import cancelled_wherever_it_waits


async def test_a_store_that_is_cancelled_anywhere_leaves_no_session(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    await upgrade(postgres_url, [])

    async def use() -> None:
        async with open_event_store(postgres_url, busy_timeout=30.0) as store:
            streams = [new_id("s"), new_id("s")]
            await asyncio.gather(
                *(store.append(each, [NewEvent("ticked", {})], expected_version=0) for each in streams)
            )
            await asyncio.gather(*map(store.read, streams))

    assert await cancelled_wherever_it_waits(use) > 5

    name = postgres_url.rpartition("/")[2]
    await eventually(lambda: postgres_server.execute(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'") == [])
