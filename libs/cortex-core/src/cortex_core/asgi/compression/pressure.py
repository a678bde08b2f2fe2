"""Pressure: how late the event loop is, as a reason to compress less.

The lag of the loop is what every request of this process waits on top of its own work, whoever causes it: our
compressing, the application, or a neighbour on the machine. A busy loop that nobody waits for is no pressure.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from cortex_core.asgi.bounds import check_positive
from cortex_core.kernel.clock import Clock, SystemClock, Timer

_RISING: Final = 3  # looks in a row: quick to give way …
_FALLING: Final = 10  # … slow to come back


class Load(IntEnum):
    """What a response is worth now."""

    NORMAL = 0
    REDUCED = 1  # the codecs' quickest level
    OFF = 2  # no new response is encoded, unless its client refuses it as it is


class Pressure:
    """Call it for the load. It looks every `interval` seconds, while it is asked; when nobody asks, it rests.

    Three looks in a row with a lag of `reduced_at` (`off_at`) seconds or more raise the load by a step; ten in a row
    with less than half of that lower it by one. `on_change` is called with each new load. One object serves one event
    loop at a time. Raises ValueError where not 0 < reduced_at <= off_at, or for an `interval` that is not positive.
    """

    def __init__(
        self,
        *,
        reduced_at: float = 0.05,
        off_at: float = 0.25,
        interval: float = 0.1,
        clock: Clock | None = None,
        on_change: Callable[[Load], None] | None = None,
    ) -> None:
        check_positive("reduced_at", reduced_at, unit="seconds")
        check_positive("off_at", off_at, unit="seconds")
        check_positive("interval", interval, unit="seconds")
        if reduced_at > off_at:
            raise ValueError(f"reduced_at must be at most off_at: {reduced_at}, {off_at}")
        self._entry = {Load.REDUCED: reduced_at, Load.OFF: off_at}
        self._interval = interval
        self._clock = clock or SystemClock()
        self._on_change = on_change
        self._load = Load.NORMAL
        self._above = self._below = 0
        self._asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Timer | None = None

    def __call__(self) -> Load:
        """The load now. Needs a running event loop."""
        self._asked = True
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._arm()
        return self._load

    def _arm(self) -> None:
        due = self._clock.monotonic() + self._interval
        self._timer = self._clock.call_later(self._interval, lambda: self._look(due))

    def _look(self, due: float) -> None:
        self.observe(max(0.0, self._clock.monotonic() - due))
        asked, self._asked = self._asked, False
        if asked:
            return self._arm()
        self._loop = self._timer = None
        self._change(Load.NORMAL)  # who comes after a pause finds out anew

    def observe(self, lag: float) -> None:
        """Takes one look's `lag` (seconds) into account. Called by the timer; tests call it, too."""
        if self._load is not Load.OFF and lag >= self._entry[Load(self._load + 1)]:
            self._above, self._below = self._above + 1, 0
            if self._above == _RISING:
                self._change(Load(self._load + 1))
        elif self._load is not Load.NORMAL and lag < self._entry[self._load] / 2:
            self._above, self._below = 0, self._below + 1
            if self._below == _FALLING:
                self._change(Load(self._load - 1))
        else:
            self._above = self._below = 0

    def _change(self, load: Load) -> None:
        self._above = self._below = 0
        if load is not self._load:
            self._load = load
            if self._on_change is not None:
                self._on_change(load)
