"""Turns: how much is looked up at once, so that nobody's look-ups are everybody's wait.

Owns two bounds. `Turns` gives each source (an address) a few places of its own, so that whoever floods us waits for
himself. `in_time` bounds what is asked of somebody else by their time and not by ours: a deadline that our own loop was
late for says nothing of whoever was asked, and is put off.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_LATE: Final = 0.02  # seconds: a timer that is so much behind was held up by us
_PUT_OFF: Final = 8  # times at most: then it is over, whoever is to blame


class TooLate(TimeoutError):
    """`ours`: the loop was late so often that nothing can be said of whoever was asked."""

    def __init__(self, *, ours: bool) -> None:
        super().__init__("our own loop was late" if ours else "no answer")
        self.ours = ours


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Raises TooLate when what is inside takes longer than `seconds`; with each deadline that comes late itself, it
    has as long once more."""
    limit = asyncio.timeout(None)
    deadline = _Deadline(seconds, limit)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise TooLate(ours=deadline.put_off >= _PUT_OFF) from error
        raise
    finally:
        deadline.timer.cancel()


class _Deadline:
    """Lets `limit` expire, where the loop was there when it was due."""

    def __init__(self, seconds: float, limit: asyncio.Timeout) -> None:
        self._seconds = seconds
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self.put_off = 0
        self._set()

    def _set(self) -> None:
        self._due = self._loop.time() + self._seconds
        self.timer = self._loop.call_at(self._due, self._over)

    def _over(self) -> None:
        now = self._loop.time()
        if now - self._due > _LATE and self.put_off < _PUT_OFF:
            self.put_off += 1
            self._set()
        else:
            self._limit.reschedule(now)


class Turns:
    """`each`: how many of one source may be under way; the others of it wait, in order."""

    def __init__(self, each: int = 4) -> None:
        self._each = each
        self._places: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}

    @asynccontextmanager
    async def of(self, source: str | None) -> AsyncIterator[None]:
        """None: nobody knows where it comes from, and it does not wait."""
        if source is None:
            yield
            return
        places, here = self._places.setdefault(source, (asyncio.Semaphore(self._each), []))
        here.append(None)
        try:
            async with places:
                yield
        finally:
            here.pop()
            if not here:
                del self._places[source]

    def __len__(self) -> int:
        """Sources that somebody waits or asks for."""
        return len(self._places)
