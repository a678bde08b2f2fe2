"""Whether the machine let the loop run: a round in which it did not proves nothing about a time-out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Pause:
    """`longest`: seconds without a turn of the loop, at most."""

    longest: float = 0.0


@asynccontextmanager
async def longest_pause() -> AsyncIterator[Pause]:
    """Of the loop's, within the block."""
    pause, loop = Pause(), asyncio.get_running_loop()

    async def watch() -> None:
        last = loop.time()
        while True:
            await asyncio.sleep(0.005)
            now = loop.time()
            pause.longest, last = max(pause.longest, now - last), now

    watching = asyncio.create_task(watch())
    try:
        yield pause
    finally:
        watching.cancel()
