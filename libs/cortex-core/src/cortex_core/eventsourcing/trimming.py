"""Trimming: what was sent, and what had its effect, is kept for a while and then deleted, a little at a time.

Sent messages are what the bus is repaired from, so they go only when they are old *and* the bus still shows the number
of their batch or a higher one; what waits never goes. An event's mark in the inbox goes last: it has to be there for as
long as the event may come again, from the bus or from somebody's repair.

Owns when and how much. One replica does it at a time, under the lease `TRIM`, in portions with a pause after each, so
that writers wait for one portion at most.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from cortex_core.eventsourcing.leadership import Leadership
from cortex_core.eventsourcing.store import Inbox, Outbox
from cortex_core.kernel.clock import Clock, SystemClock

TRIM: Final = "trim"
"""The lease's name."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrimSettings:
    """Sent messages are kept for `sent`, marks of the inbox for `seen`: longer, by what the bus keeps and a consumer
    may lag. Each `every` seconds rows go in portions of `portion`, with `pause` seconds after each."""

    sent: timedelta = timedelta(days=7)
    seen: timedelta = timedelta(days=30)
    every: float = 600.0
    portion: int = 500
    pause: float = 0.05

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.sent <= timedelta(0) or self.every <= 0 or self.portion < 1 or self.pause < 0:
            raise ValueError("sent, every and portion must be positive, pause not negative")
        if self.seen <= self.sent:
            raise ValueError(f"seen must be longer than sent, {self.sent}: else a repair repeats effects")


@dataclass(frozen=True, slots=True)
class TrimDetails:
    """A portion: how many rows of the outbox (`sent`) or of the inbox (`seen`) went; or what stood in the way."""

    sent: int = 0
    seen: int = 0
    error: Exception | None = None


class OnTrim(Protocol):
    """Called after each portion: it must be quick. What it raises is logged and stops nothing."""

    def __call__(self, details: TrimDetails, /) -> None: ...


class Trimming:
    """See the module. `has` says which batch is the bus's newest: 0 where it holds none, or nobody relays."""

    def __init__(
        self,
        outbox: Outbox,
        inbox: Inbox[Any],
        leadership: Leadership,
        has: Callable[[], Awaitable[int]],
        *,
        settings: TrimSettings | None = None,
        clock: Clock | None = None,
        on_trim: OnTrim | None = None,
    ) -> None:
        self._outbox = outbox
        self._inbox = inbox
        self._leadership = leadership
        self._has = has
        self._settings = settings or TrimSettings()
        self._clock = clock or SystemClock()
        self._on_trim = on_trim

    async def run(self) -> None:
        """Until it is cancelled. The first time is `every` seconds from now."""
        while True:
            await self._clock.sleep(self._settings.every)
            await self.once()

    async def once(self) -> None:
        """Waits for its turn among the replicas, then deletes all that may go. Raises nothing: trouble is told, and the
        next time comes."""
        now = self._clock.now()
        try:
            async with self._leadership.held():
                while await self._forget(now - self._settings.seen):
                    await self._clock.sleep(self._settings.pause)
                up_to = await self._has()
                while await self._drop(now - self._settings.sent, up_to):
                    await self._clock.sleep(self._settings.pause)
        except Exception as error:  # noqa: BLE001 - whatever it is: what is kept too long hurts nobody today
            self._tell(TrimDetails(error=error))

    async def _forget(self, before: datetime) -> bool:
        """Whether there may be more."""
        rows = await self._inbox.trim(before, limit=self._settings.portion)
        self._tell(TrimDetails(seen=rows))
        return rows == self._settings.portion

    async def _drop(self, before: datetime, up_to: int) -> bool:
        """Whether there may be more."""
        rows = await self._outbox.trim(before, up_to=up_to, limit=self._settings.portion)
        self._tell(TrimDetails(sent=rows))
        return rows == self._settings.portion

    def _tell(self, details: TrimDetails) -> None:
        if self._on_trim is None:
            if details.error is not None:
                _log.warning("trimming waits for its next time: %r", details.error)
            return
        try:
            self._on_trim(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not stop the trimming
            _log.exception("a trimming hook failed")
