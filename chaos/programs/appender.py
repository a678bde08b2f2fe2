"""Writers that race for one stream: `appender DATABASE STREAM WRITERS WINS NAIVE`.

Each line of output is a version and the id of the event that won it. NAIVE 1: what an application does that reads the
version, writes the next, and trusts to luck.
"""

import asyncio
import sys

from sqlalchemy import text

from cortex_core.eventsourcing import NewEvent, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store


async def write(store: SqlEventStore, stream: str, wins: int) -> int:
    """Returns how often somebody was faster."""
    refused, version = 0, 0
    for _ in range(wins):
        while True:
            event = NewEvent("counted", {})
            try:
                version = await store.append(stream, [event], expected_version=version)
            except StaleVersion as stale:
                refused += 1
                version = stale.details["actual"]
            else:
                sys.stdout.write(f"{version} {event.id}\n")
                break
    return refused


async def write_naively(store: SqlEventStore, wins: int) -> int:
    for _ in range(wins):
        async with store.reading() as connection:
            version = (
                int((await connection.execute(text("SELECT coalesce(max(version), 0) FROM naive"))).scalar_one()) + 1
            )
        event = NewEvent("counted", {})
        async with store.transaction() as connection:
            await connection.execute(
                text("INSERT INTO naive (version, id) VALUES (:version, :id)"), {"version": version, "id": event.id}
            )
        sys.stdout.write(f"{version} {event.id}\n")
    return 0


async def main(database: str, stream: str, writers: int, wins: int, naive: bool) -> None:
    async with open_event_store(database) as store:
        work = [write_naively(store, wins) if naive else write(store, stream, wins) for _ in range(writers)]
        refused = sum(await asyncio.gather(*work))
    sys.stdout.write(f"refused {refused}\n")


if __name__ == "__main__":
    _, database, stream, writers, wins, naive = sys.argv
    asyncio.run(main(database, stream, int(writers), int(wins), naive == "1"))
