"""Time as a dependency: what reads a clock or waits takes one of these, so that tests decide what time it is."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """Something that will happen, and can be called off."""

    def cancel(self) -> None:
        """It will not happen. Harmless once it has."""
        ...


class Clock(Protocol):
    """Wall time for facts, monotonic time for durations, and a sleep and a timer that a test can wake."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` (≥ 0) of this clock's time."""
        ...

    def pause(self, seconds: float) -> None:
        """The same for code without an event loop: blocks its thread."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Calls `callback` on the running event loop after `seconds` (≥ 0) of this clock's time, unless cancelled."""
        ...


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)  # as it is: every request reads it several times

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        import asyncio  # late, like below: a health probe needs none of it, and starts in a fifth of the time

        await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        from asyncio import get_running_loop

        return get_running_loop().call_later(seconds, callback)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T12:00:00.123456Z`: RFC 3339 in UTC with microseconds, so that text sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The inverse of `rfc3339`; takes any RFC 3339 offset. Raises ValueError, also for a time without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return moment.astimezone(UTC)
