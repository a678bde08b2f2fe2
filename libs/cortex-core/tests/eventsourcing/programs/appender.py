"""Appends to one stream for ever and prints each version it holds for acknowledged. Its parent kills it.

`appender.py URL honest` prints when `append` has returned. `appender.py URL early` is the control: it prints before the
commit, and from the tenth version on takes its time in between.
"""

import asyncio
import sys
from typing import Any

from cortex_core.eventsourcing import NewEvent
from cortex_core.eventsourcing.sql import open_event_store


async def main(url: str, mode: str) -> None:
    async with open_event_store(url) as store:
        version = len(await store.read("a"))
        while True:
            version += 1

            async def too_early(_: Any, version: int = version) -> None:
                tell(version)
                await asyncio.sleep(60 if version >= 10 else 0)

            also = too_early if mode == "early" else None
            await store.append("a", [NewEvent("ticked", {})], expected_version=version - 1, also=also)
            if mode == "honest":
                tell(version)


def tell(version: int) -> None:
    sys.stdout.write(f"{version}\n")
    sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
