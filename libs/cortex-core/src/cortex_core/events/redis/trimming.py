"""Trimming by age: what is older than it has to be, and needed by no group, goes.

One process of all at a time does it, whichever comes first; that two do it would harm nothing. A group holds what it
has not acknowledged, for ever: that it is gone is told, and an operator decides (`bus.log.forget_group`). Owns when.
"""

from typing import Any, Final

from cortex_core.events.bus import Retention
from cortex_core.events.hooks import SafeHooks, Strain, StrainDetails
from cortex_core.events.loops import Loop
from cortex_core.events.redis.catalogue import Catalogue
from cortex_core.events.redis.link import Link, Word, raise_first
from cortex_core.events.redis.scripts import TRIM
from cortex_core.events.redis.streams import Stream, dead_letters_key
from cortex_core.kernel.clock import Clock

ROUNDS: Final = 100  # calls a stream, each cuts 10,000 entries at most: Redis serves others in between
TOLD_EVERY: Final = 24 * 3600.0  # seconds between two words about the same group


class Trimmer:
    """See the module. Covers every tenant of the namespace."""

    def __init__(
        self,
        link: Link,
        namespace: str,
        name: str,
        catalogue: Catalogue,
        retention: Retention,
        *,
        clock: Clock,
        hooks: SafeHooks,
    ) -> None:
        """`name` is this process's."""
        self._link: Final = link
        self._namespace: Final = namespace
        self._name: Final = name
        self._catalogue: Final = catalogue
        self._retention: Final = retention
        self._clock: Final = clock
        self._hooks: Final = hooks
        self._told: dict[tuple[str, str], float] = {}
        self._loop: Final = Loop(self._next, work="trim", clock=clock, hooks=hooks)
        self._started = False

    def start(self) -> None:
        """Once: later calls change nothing."""
        if not self._started:
            self._started = True
            self._loop.start()

    async def aclose(self) -> None:
        await self._loop.aclose()

    async def round(self) -> int:
        """Trims everything once, if it is our turn. Returns how many entries went. Raises BusUnavailable."""
        if not await self._turn():
            return 0
        known = await self._catalogue.read()
        gone = 0
        for stream in known.topics:
            gone += await self._trim(stream, self._retention.keep)
        for stream in known.again:
            gone += await self._trim(stream, 0, only_with_group=True)
        for tenant, group in known.dead:
            key = dead_letters_key(self._namespace, tenant, group)
            gone += (await self._cut(key, self._retention.keep_dead))[0]
        return gone

    async def _next(self) -> None:
        await self._clock.sleep(self._retention.every)
        await self.round()

    async def _turn(self) -> bool:
        held = round(self._retention.every * 900)  # milliseconds: over before anybody's next round
        taken = ("SET", f"{self._namespace}:trimming", self._name, "NX", "PX", max(1, held))
        replies = await self._link.batch([taken])
        raise_first(replies)
        return replies[0] is not None

    async def _trim(self, stream: Stream, keep: float, *, only_with_group: bool = False) -> int:
        gone, lost = await self._cut(stream.key, keep, int(only_with_group))
        for group, age in lost:
            self._tell(stream, group.decode(errors="replace"), age / 1000)
        return gone

    async def _cut(self, key: str, keep: float, only_with_group: Word = 0) -> tuple[int, list[Any]]:
        gone, lost = 0, []
        for _ in range(ROUNDS):
            milliseconds = round(keep * 1000), round(self._retention.abandoned_after * 1000)
            now, lost = await self._link.run(TRIM, [key], [*milliseconds, only_with_group])
            gone += now
            if not now:
                break
        return gone, lost

    def _tell(self, stream: Stream, group: str, seconds: float) -> None:
        now = self._clock.monotonic()
        if now >= self._told.get((stream.key, group), now):
            self._told[stream.key, group] = now + TOLD_EVERY
            details = StrainDetails(stream.topic, stream.tenant, Strain.ABANDONED, group, seconds=seconds)
            self._hooks.on_strain(details)
