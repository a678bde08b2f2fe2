"""What was deleted is gone from the file, too: a message that was trimmed, a projection's old generation."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from cortex_core.eventsourcing import Message
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.eventsourcing.sql.engines import sqlite
from cortex_core.testing import FakeClock

_SECRET = b"4111-1111-1111-1111" * 20


@pytest.fixture(autouse=True)
def _a_library_that_leaves_what_was_deleted() -> Iterator[None]:
    """Some are built to erase by default. A listener of all pools comes before an engine's own settings."""

    def leave(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA secure_delete=OFF")
        cursor.close()

    event.listen(Pool, "connect", leave)
    yield
    event.remove(Pool, "connect", leave)


def content(database_url: str) -> bytes:
    return Path(database_url.partition(":///")[2]).read_bytes()


async def left(database_url: str, clock: FakeClock) -> bool:
    """Whether the file, closed, still has the payload of a message that was sent and trimmed."""
    async with open_event_store(database_url, clock=clock) as store:
        await store.append("a", [], expected_version=0, messages=[Message("m", "order", "ord_1", _SECRET)])
    assert _SECRET in content(database_url)
    async with open_event_store(database_url, clock=clock) as store:
        await store.outbox.mark_sent(["m"], 1)
        assert await store.outbox.trim(clock.now() + timedelta(seconds=1), up_to=1, limit=10) == 1
    return _SECRET in content(database_url)


async def test_what_was_trimmed_is_not_left_in_the_file(database_url: str, clock: FakeClock) -> None:
    assert not await left(database_url, clock)


async def test_control_without_the_setting_it_is_left(
    database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SETTINGS", tuple(each for each in sqlite._SETTINGS if "secure_delete" not in each))

    assert await left(database_url, clock)
