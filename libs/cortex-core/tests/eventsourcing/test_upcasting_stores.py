"""Every store reads in the words of today, and keeps what was written."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import DROPPED, CorruptEvent, Drop, MemoryEventStore, NewEvent, Upcast, Upcasters
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing.contracts.eventstore import Store

UPCASTERS = Upcasters(
    [
        Upcast("created", 1, lambda data: {**data, "currency": "EUR"}),
        Upcast("created", 2, lambda data: {**data, "total": data["total"] * 100}),
        Drop("probed", 1),
    ]
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryEventStore(upcasters=UPCASTERS)
        return
    async with open_event_store(database_url, upcasters=UPCASTERS) as opened:
        yield opened


async def test_events_are_read_in_the_words_of_today(store: Store) -> None:
    old = [NewEvent("created", {"total": 25}), NewEvent("probed", {"x": 1}), NewEvent("created", {}, schema_version=4)]
    await store.append("a", old, expected_version=0)

    for events in (await store.read("a"), await store.read_all()):
        assert [(each.type, each.schema_version, each.data) for each in events] == [
            ("created", 3, {"total": 2500, "currency": "EUR"}),
            (DROPPED, 1, {}),
            ("created", 4, {}),
        ]
        assert [each.version for each in events] == [1, 2, 3]


async def test_a_row_that_cannot_be_upcast_is_named_with_its_position(store: Store) -> None:
    await store.append("a", [NewEvent("probed", {}), NewEvent("created", {"sum": 25})], expected_version=0)

    with pytest.raises(CorruptEvent, match="cannot be upcast") as caught:
        await store.read_all()

    assert caught.value.details["version"] == 2
    assert caught.value.position == await store.head()


async def test_what_is_stored_stays_as_it_was_written(database_url: str) -> None:
    async with open_event_store(database_url, upcasters=UPCASTERS) as store:
        await store.append("a", [NewEvent("created", {"total": 25})], expected_version=0)
        await store.read("a")

        assert await _stored(store) == ("created", 1, {"total": 25})


async def _stored(store: SqlEventStore) -> tuple[Any, ...]:
    async with store.reading() as connection:
        row = (await connection.execute(text("SELECT type, schema_version, data FROM events"))).one()
    return row.type, row.schema_version, json.loads(row.data)
