"""`Tally` in a table of either database."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import RecordedEvent
from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.testing.contracts.eventstore.tally import DROP_AT_ONCE, Rows, fail_if_asked

_ADD: Final = text(
    "INSERT INTO tally (generation, stream, numbers) VALUES (:generation, :stream, :number)"
    " ON CONFLICT (generation, stream) DO UPDATE SET numbers = tally.numbers || ' ' || excluded.numbers"
)
_DROP: Final = text(
    "DELETE FROM tally WHERE generation = :generation AND stream IN"
    " (SELECT stream FROM tally WHERE generation = :generation LIMIT :limit)"
)


class SqlTally:
    """Make its table first: `await SqlTally.create(store)`."""

    name = "tally"

    def __init__(self, store: SqlEventStore) -> None:
        self.version = 1
        self.handles: Sequence[str] | None = ["order.created"]
        self.faults: dict[int, Exception] = {}
        self._store = store

    @classmethod
    async def create(cls, store: SqlEventStore) -> "SqlTally":
        table = "CREATE TABLE tally (generation INT, stream TEXT, numbers TEXT, PRIMARY KEY (generation, stream))"
        async with store.transaction() as transaction:
            await transaction.execute(text(table))
        return cls(store)

    async def begin(self, transaction: AsyncConnection, generation: int) -> None:
        await transaction.execute(text("DELETE FROM tally WHERE generation = :it"), {"it": generation})

    async def apply(self, transaction: AsyncConnection, generation: int, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            row = {"generation": generation, "stream": f"{event.tenant}/{event.stream}"}
            await transaction.execute(_ADD, {**row, "number": str(event.data["number"])})
            fail_if_asked(self.faults, event)

    async def drop(self, transaction: AsyncConnection, generation: int) -> bool:
        dropped = await transaction.execute(_DROP, {"generation": generation, "limit": DROP_AT_ONCE})
        return dropped.rowcount == DROP_AT_ONCE

    async def rows(self, generation: int) -> Rows:
        query = text("SELECT stream, numbers FROM tally WHERE generation = :it ORDER BY stream")
        async with self._store.reading() as connection:
            found = (await connection.execute(query, {"it": generation})).all()
        return {stream: [int(each) for each in numbers.split()] for stream, numbers in found}
