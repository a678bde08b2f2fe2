"""Relays an outbox to the bus, and kills itself with SIGKILL between publication and mark of batch KILL_AT.

`relayer DATABASE REDIS KILL_AT BATCH`. KILL_AT 0: it ends when nothing waits.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from cortex_core.chassis.relaying import BusWire
from cortex_core.events.redis import RedisEventBus
from cortex_core.eventsourcing import (
    RELAY,
    BacklogDetails,
    Leadership,
    LoggingRelayHooks,
    Message,
    Relay,
    RelaySettings,
)
from cortex_core.eventsourcing.sql import open_event_store

TTL = 0.3  # seconds: the next one waits for as long until the killed one's lease is over


class DeadlyWire(BusWire):
    """The bus, and death once batch number `kill_at` is on it."""

    def __init__(self, bus: RedisEventBus, kill_at: int) -> None:
        super().__init__(bus, "chaos")
        self._kill_at = kill_at
        self._published = 0

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        stands = await super().publish(messages, batch, after=after)
        self._published += stands == batch
        if self._published == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return stands


class UntilEmpty(LoggingRelayHooks):
    """Notes when nothing waits any more."""

    def __init__(self) -> None:
        self.empty = asyncio.Event()

    def on_backlog(self, details: BacklogDetails, /) -> None:
        if details.pending == 0:
            self.empty.set()


async def main(database: str, redis: str, kill_at: int, batch: int) -> None:
    hooks = UntilEmpty()
    bus = RedisEventBus(redis)
    async with open_event_store(database) as store:
        leadership = Leadership(store.leases, RELAY, ttl=TTL)
        settings = RelaySettings(batch=batch, interval=0.05)
        relay = Relay(store.outbox, DeadlyWire(bus, kill_at), leadership, settings=settings, hooks=hooks)
        relaying = asyncio.create_task(relay.run())
        await hooks.empty.wait()
        relaying.cancel()
        await asyncio.wait([relaying])
    await bus.aclose()


if __name__ == "__main__":
    _, database, redis, kill_at, batch = sys.argv
    asyncio.run(main(database, redis, int(kill_at), int(batch)))
