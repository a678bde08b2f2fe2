"""Writers that all want the next version of one stream, each once. Says which version each has won, and how often one
was too late: `contender.py URL FIRST COUNT` are the writers FIRST … FIRST + COUNT - 1."""

import asyncio
import sys

from cortex_core.eventsourcing import NewEvent, StaleVersion
from cortex_core.eventsourcing.sql import open_event_store


async def main(url: str, first: int, count: int) -> None:
    stale = 0

    async with open_event_store(url) as store:

        async def win(writer: int) -> tuple[int, int]:
            nonlocal stale
            while True:
                version = len(await store.read("a"))
                try:
                    won = await store.append("a", [NewEvent("won", {"by": writer})], expected_version=version)
                except StaleVersion:
                    stale += 1
                else:
                    return won, writer

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        wins = await asyncio.gather(*(win(writer) for writer in range(first, first + count)))
    sys.stdout.write(f"{stale}\n" + "".join(f"{version} {writer}\n" for version, writer in wins))


_, url, first, count = sys.argv
asyncio.run(main(url, int(first), int(count)))
