"""Announcements on the bus: told at once, sent when the bus can take them, by one task.

This service keeps nothing, so there is no outbox: what waits is in memory, and is lost with the process, or where
`capacity` is used up while the bus is away. An announcement is published again until it is known to be sent, under the
same id: consumers, idempotent by it, see it at most once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from cortex_compute.domain import ProcessedImage
from cortex_contracts import ImageProcessed
from cortex_core.events import CloudEvent
from cortex_core.kernel import Clock, CortexError, new_id

Publish = Callable[[Sequence[CloudEvent]], Awaitable[None]]

_BATCH: Final = 64
_BACKOFF: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


class BusAnnouncements:
    """`on_dropped` is told how many were lost, `on_trouble` why publishing failed."""

    def __init__(
        self,
        publish: Publish,
        *,
        clock: Clock,
        capacity: int,
        on_dropped: Callable[[int], None],
        on_trouble: Callable[[CortexError], None],
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._capacity = capacity
        self._on_dropped = on_dropped
        self._on_trouble = on_trouble
        self._waiting: deque[CloudEvent] = deque()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def image_processed(self, image: ProcessedImage) -> None:
        if len(self._waiting) >= self._capacity:
            return self._on_dropped(1)
        data = ImageProcessed(
            operation=image.operation.value,
            format=image.format.value,
            width=image.width,
            height=image.height,
            duration=image.seconds,
        )
        event = CloudEvent.about(
            data.type, source="/compute", subject=new_id("img"), data=data.wire(), dataschema=data.dataschema()
        )
        self._waiting.append(event)
        self._empty.clear()
        self._news.set()

    async def run(self) -> None:
        """Publishes for ever, in order."""
        failures = 0
        while True:
            await self._news.wait()
            batch = list(self._waiting)[:_BATCH]
            try:
                await self._publish(batch)
            except CortexError as error:
                self._on_trouble(error)
                if not error.retryable:
                    self._forget(batch)
                    self._on_dropped(len(batch))
                    continue
                await self._clock.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1
            else:
                failures = 0
                self._forget(batch)

    async def drain(self, within: float) -> None:
        """Returns when all is sent, or after `within` seconds; then what is left is dropped, and counted."""
        limit = asyncio.create_task(self._clock.sleep(within))
        empty = asyncio.create_task(self._empty.wait())
        await asyncio.wait({limit, empty}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        empty.cancel()
        await asyncio.gather(limit, empty, return_exceptions=True)
        if self._waiting:
            self._on_dropped(len(self._waiting))
            self._forget(list(self._waiting))

    def _forget(self, batch: Sequence[CloudEvent]) -> None:
        for event in batch:
            if self._waiting and self._waiting[0] is event:  # not so where `drain` was faster
                self._waiting.popleft()
        if not self._waiting:
            self._news.clear()
            self._empty.set()
