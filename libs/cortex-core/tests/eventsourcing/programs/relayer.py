"""Relays an outbox onto the wire, a file with one id a line, and kills itself after `KILLS_AT` batches, unmarked.

`relayer.py URL WIRE KILLS_AT BATCH`: SIGKILL comes between publish and mark. KILLS_AT 0: it ends when nothing waits.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cortex_core.eventsourcing import Message, Relay
from cortex_core.eventsourcing.sql import open_event_store


async def main(url: str, line: TextIO, kills_at: int, batch: int) -> None:
    published = 0
    empty = asyncio.Event()

    async def publish(messages: Sequence[Message]) -> None:
        nonlocal published
        line.writelines(f"{each.id}\n" for each in messages)
        line.flush()
        published += 1
        if published == kills_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_pending(pending: int) -> None:
        if pending == 0:
            empty.set()

    async with open_event_store(url) as store:
        relay = asyncio.create_task(Relay(store.outbox, publish, batch=batch, on_pending=on_pending).run())
        await empty.wait()
        relay.cancel()
        await asyncio.wait([relay])


_, url, wire, kills_at, batch = sys.argv
with Path(wire).open("a", encoding="utf-8") as line:
    asyncio.run(main(url, line, int(kills_at), int(batch)))
