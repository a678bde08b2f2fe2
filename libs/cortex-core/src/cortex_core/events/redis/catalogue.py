"""Which streams there are: looked up by SCAN, a page at a time, since only what writes them knows their names.

Owns the look-up and for how long its answer is good. Next: operations.py asks it, duties.py too.
"""

from dataclasses import dataclass, field
from typing import Final

from cortex_core.events.redis.link import Link, Word, raise_first
from cortex_core.events.redis.streams import Stream, dead_letters_of
from cortex_core.kernel.clock import Clock

PAGE: Final = 1_000  # keys that Redis looks at before it serves somebody else
GOOD_FOR: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Streams:
    """`topics`: what was published. `again`: what waits for one group. `dead`: tenant and group."""

    topics: tuple[Stream, ...] = ()
    again: tuple[Stream, ...] = ()
    dead: frozenset[tuple[str, str]] = field(default_factory=frozenset)


class Catalogue:
    """See the module."""

    def __init__(self, link: Link, namespace: str, clock: Clock) -> None:
        self._link: Final = link
        self._namespace: Final = namespace
        self._clock: Final = clock
        self._known = Streams()
        self._stale_at = 0.0

    async def known(self) -> Streams:
        """As of a minute ago at most: for figures."""
        if self._clock.monotonic() >= self._stale_at:
            await self.read()
        return self._known

    async def read(self) -> Streams:
        """As of now. Raises BusUnavailable."""
        names = await self._keys()
        found = [stream for stream in map(Stream.of, sorted(set(names))) if stream is not None]
        self._known = Streams(
            tuple(stream for stream in found if stream.group is None),
            tuple(stream for stream in found if stream.group is not None),
            frozenset(dead for dead in map(dead_letters_of, names) if dead is not None),
        )
        self._stale_at = self._clock.monotonic() + GOOD_FOR
        return self._known

    async def _keys(self) -> list[str]:
        keys: list[str] = []
        cursor: Word = 0
        while True:
            scan = ("SCAN", cursor, "MATCH", f"{self._namespace}:*", "COUNT", PAGE, "TYPE", "stream")
            replies = await self._link.batch([scan])
            raise_first(replies)
            cursor, page = replies[0]
            keys += (key.decode(errors="replace") for key in page)
            if cursor == b"0":
                return keys
