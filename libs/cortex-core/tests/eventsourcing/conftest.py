import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

from cortex_core.eventsourcing import Relay
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/store.db"


@pytest.fixture
async def sql_store(database_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(database_url, clock=clock) as store:
        yield store


@pytest.fixture
def running() -> Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]:
    """Runs a relay as a task for the length of a block."""

    @asynccontextmanager
    async def run(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(relay.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return run
