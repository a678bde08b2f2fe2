"""A fan-out handler on the logs."""

import asyncio
from collections.abc import Callable
from typing import Final

from cortex_core.events.bus import Handler
from cortex_core.events.delivery import Broadcast
from cortex_core.events.hooks import GapDetails, SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.events.memory.logs import Cursor
from cortex_core.kernel.clock import Clock


class Subscriber:
    """One fan-out handler, at its own place in the logs: a slow one keeps nobody else waiting."""

    def __init__(
        self,
        cursor: Cursor,
        handler: Handler,
        *,
        clock: Clock,
        hooks: SafeHooks,
        drain: float,
        forget: "Callable[[Subscriber], None]",
    ) -> None:
        self._cursor: Final = cursor
        self._drain: Final = drain
        self._broadcast: Final = Broadcast(handler, hooks)
        self._hooks: Final = hooks
        self._forget: Final = forget
        self._news: Final = asyncio.Event()
        self._loop: Final = Loop(self._next, work="subscribe", clock=clock, hooks=hooks)

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._news.set()

    async def aclose(self) -> None:
        await self._loop.aclose(self._drain)
        self._forget(self)

    async def _next(self) -> None:
        read = self._cursor.read()
        if read is None:
            self._news.clear()
            await self._news.wait()
            return
        entry, lost = read
        if lost:
            self._hooks.on_gap(GapDetails(entry.topic, entry.tenant, filled=0, lost=True))
        with self._loop.undisturbed():
            await self._broadcast(entry)
