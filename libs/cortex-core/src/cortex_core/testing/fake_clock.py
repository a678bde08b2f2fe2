"""FakeClock: time stands still until the test says otherwise."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from cortex_core.kernel.clock import Timer

_START: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_TURNS: Final = 25  # of the loop, after each wake-up: enough for a chain of tasks that wait for one another


class FakeClock:
    """A `Clock` whose time moves only in `advance` and `leap`."""

    def __init__(self, start: datetime = _START) -> None:
        """Raises ValueError for a `start` without a UTC offset."""
        if start.tzinfo is None:
            raise ValueError(f"{start!r} has no UTC offset")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many sleeps and timers wait: `await eventually(lambda: clock.sleepers)` before advancing past them."""
        return sum(not sleeper.done() for _, _, sleeper in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._alarm(seconds)

    def pause(self, seconds: float) -> None:
        """The clock moves on by itself: without an event loop nobody else could move it."""
        self._elapsed += max(0.0, seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        def ring(woken: asyncio.Future[None]) -> None:
            if not woken.cancelled():
                callback()

        alarm = self._alarm(max(0.0, seconds))
        alarm.add_done_callback(ring)
        return _Alarm(alarm)

    def _alarm(self, seconds: float) -> asyncio.Future[None]:
        self._order += 1
        alarm = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        """Moves time on and wakes who slept, in the order of their waking, each at its own moment.

        Tasks run in between, so that one who goes to sleep again within the span is woken again. Work that waits for
        something real (a thread, a socket) is not waited for: that is `eventually`'s job. Raises ValueError for
        `seconds` below 0.
        """
        _refuse_to_go_back(seconds)
        end = self._elapsed + seconds
        await _let_tasks_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, sleeper = heapq.heappop(self._sleepers)
            if sleeper.done():  # cancelled while asleep
                continue
            self._elapsed = max(self._elapsed, moment)
            sleeper.set_result(None)
            await _let_tasks_run()
        self._elapsed = max(self._elapsed, end)

    async def leap(self, seconds: float) -> None:
        """Moves time on all at once, as over the sleep of the machine itself: who slept is woken late, and once.

        For a day in which somebody looks every second, where the looking is not what is tested. Raises ValueError for
        `seconds` below 0.
        """
        _refuse_to_go_back(seconds)
        await _let_tasks_run()
        self._elapsed += seconds
        await self.advance(0.0)


class _Alarm:
    """A timer over the future that `advance` wakes."""

    def __init__(self, alarm: asyncio.Future[None]) -> None:
        self._future = alarm

    def cancel(self) -> None:
        self._future.cancel()


def _refuse_to_go_back(seconds: float) -> None:
    if seconds < 0:
        raise ValueError(f"time does not go back: {seconds}")


async def _let_tasks_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
