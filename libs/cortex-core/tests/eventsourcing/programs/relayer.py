"""Relays an outbox onto the wire, a file with a batch's number and an id a line, and kills itself after `KILLS_AT`
batches, unmarked.

`relayer.py URL WIRE KILLS_AT BATCH`: SIGKILL comes between publish and mark. KILLS_AT 0: it ends when nothing waits.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cortex_core.eventsourcing import RELAY, BacklogDetails, Leadership, LoggingRelayHooks, Message, Relay
from cortex_core.eventsourcing import RelaySettings as Settings
from cortex_core.eventsourcing.sql import open_event_store

TTL = 0.2  # seconds: the next one waits for as long until the killed one's lease is over


class FileWire:
    """`Wire` over a file that outlives whoever writes it."""

    def __init__(self, file: Path, kills_at: int) -> None:
        self.file = file
        self.kills_at = kills_at
        self.published = 0

    async def last(self) -> int:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        return int(lines[-1].split()[0]) if lines else 0

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        if (last := await self.last()) != after:
            return last
        with self.file.open("a", encoding="utf-8") as line:
            line.writelines(f"{batch} {each.id}\n" for each in messages)
        self.published += 1
        if self.published == self.kills_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch


class UntilEmpty(LoggingRelayHooks):
    def __init__(self) -> None:
        self.empty = asyncio.Event()

    def on_backlog(self, details: BacklogDetails, /) -> None:
        if details.pending == 0:
            self.empty.set()


async def main(url: str, wire: FileWire, batch: int) -> None:
    hooks = UntilEmpty()
    async with open_event_store(url) as store:
        leadership = Leadership(store.leases, RELAY, ttl=TTL)
        settings = Settings(batch=batch, interval=0.05)
        relay = asyncio.create_task(Relay(store.outbox, wire, leadership, settings=settings, hooks=hooks).run())
        await hooks.empty.wait()
        relay.cancel()
        await asyncio.wait([relay])


_, url, wire, kills_at, batch = sys.argv
asyncio.run(main(url, FileWire(Path(wire), int(kills_at)), int(batch)))
