"""Sharing: replicas that call the same backend tell each other when it is down, and one that is wrong convinces nobody.

Each replica opens its own circuit at once, by what it sees itself, and casts that as a vote; those that have seen
nothing follow when a quorum agrees, for as long as that agrees. Following is no evidence, so a follower does not vote:
else one opening would prolong the next. When the time is over each replica lets its own probes through.

Nothing of this is on the path of a call. It runs beside, and while the place where votes are kept is away each breaker
goes by itself. Refuses to know that place: `redis.py` is one. Why so: docs/adr/0006-circuit-breaker.md.
"""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.resilience.bounds import seconds
from cortex_core.resilience.breaker import CircuitBreaker
from cortex_core.resilience.hooks import CircuitChange, OnSharing, SharingDetails, tell

_log = logging.getLogger("cortex_core.resilience")


class BallotUnavailable(CortexError):
    """The place where votes are kept does not answer, or not as it should."""

    code, kind = "circuit.ballot-unavailable", Kind.UNAVAILABLE


class Ballot(Protocol):
    """Where the replicas of one circuit vote. Every method raises BallotUnavailable, after a bounded wait."""

    async def cast(self, seconds: float) -> float:
        """This replica lives, and by what it saw itself its circuit is open for another `seconds` (0: it is not).
        Returns for how many seconds a quorum of those who live agrees (0: it does not)."""
        ...

    async def withdraw(self) -> None:
        """This replica is no more: neither alive nor voting."""
        ...

    async def aclose(self) -> None: ...


class SharedCircuit:
    """Shares `breaker` with its replicas while it runs: `async with SharedCircuit(…)`, or `run()` as a task of yours.

    Every `interval` seconds, and at once when the breaker changes, it votes and hears what the others make of it. A
    follower opens at most one interval and one round trip after the quorum. Raises ValueError for bad settings.
    """

    def __init__(
        self,
        breaker: CircuitBreaker,
        ballot: Ballot,
        *,
        interval: float = 0.5,
        clock: Clock | None = None,
        on_sharing: OnSharing | None = None,
    ) -> None:
        seconds("interval", interval)
        self._breaker = breaker
        self._ballot = ballot
        self._interval = interval
        self._clock = clock or SystemClock()
        self._on_sharing = on_sharing
        self._news = asyncio.Event()
        self._works = True
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled; then its vote is withdrawn, and the ballot closed."""
        loop = asyncio.get_running_loop()

        def noticed(change: CircuitChange) -> None:  # noqa: ARG001 - what it is now is asked for when it is told
            loop.call_soon_threadsafe(self._news.set)

        unwatch = self._breaker.watch(noticed)
        try:
            while True:
                self._news.clear()
                await self._vote()
                await self._wait()
        finally:
            unwatch()
            await self._leave()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name=f"share circuit {self._breaker.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _vote(self) -> None:
        try:
            agreed = await self._ballot.cast(self._breaker.open_by_evidence)
        except Exception as error:  # noqa: BLE001 - told, and tried again: a task that died would end sharing unseen
            self._note(error)
            return
        self._note(None)
        if agreed > 0:
            self._breaker.open_for(agreed)

    async def _wait(self) -> None:
        timer = self._clock.call_later(self._interval, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    async def _leave(self) -> None:
        with suppress(BallotUnavailable):  # it is forgotten all the same, once it has not been heard of for long enough
            await self._ballot.withdraw()
        await self._ballot.aclose()

    def _note(self, error: Exception | None) -> None:
        """Tells of an outage when it begins and when it ends."""
        if (error is None) == self._works:
            return
        self._works = error is None
        if error is None:
            _log.info("circuit %s is shared again", self._breaker.name)
        else:
            _log.warning("circuit %s is not shared for now: %s", self._breaker.name, error)
        tell(self._on_sharing, SharingDetails(self._breaker.name, error))
