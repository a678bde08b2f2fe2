import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from cortex_core.eventsourcing import RELAY, Leadership, MemoryEventStore, Relay, Wire
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.engines import postgresql
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/store.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """For a module's own `database_url`: its tests run on both databases."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{tmp_path}/store.db"


@pytest.fixture
def only_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Of what bounds a session on PostgreSQL, this one of its settings is left (None: none), as a store that is opened
    from now on has it by its `busy_timeout`. The others, just as short, would end what a test does when the machine
    stands still."""

    def leave(name: str | None, *, answers_within: float = 60.0) -> None:
        def limits(busy_timeout: float) -> dict[str, str]:
            return {each: value if each == name else "60000" for each, value in made(busy_timeout).items()}

        monkeypatch.setattr(postgresql, "_limits", limits)
        monkeypatch.setattr(postgresql, "_LEAST", answers_within)

    made = postgresql._limits
    return leave


@pytest.fixture
async def sql_store(database_url: str, clock: FakeClock) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(database_url, clock=clock) as store:
        yield store


@pytest.fixture
def make_relay(clock: FakeClock) -> Callable[..., Relay]:
    """`make_relay(store, wire, …)`: a relay that leads under the store's own lease. `ttl` is long unless said, so that
    only what is tested keeps time; `outbox` takes the store's place where a test's own stands before it."""

    def make(store: MemoryEventStore | SqlEventStore, wire: Wire, **more: Any) -> Relay:
        ttl, outbox = more.pop("ttl", 86_400.0), more.pop("outbox", store.outbox)
        leadership = Leadership(store.leases, RELAY, ttl=ttl, clock=clock)
        return Relay(outbox, wire, leadership, clock=clock, **more)

    return make


@pytest.fixture
def commits(sql_store: SqlEventStore) -> list[int]:
    """Grows by one at each commit of `sql_store`."""
    counted: list[int] = []
    event.listen(sql_store._engines.writer.sync_engine, "commit", lambda _: counted.append(1))
    return counted


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
