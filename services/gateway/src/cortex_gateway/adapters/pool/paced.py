"""An exchange at its client's pace: a service's place is for the service's work, never for waiting for a client.

A request's body is gathered before there is a place, where its route does not stream; one that streams counts among the
slow clients, as does whoever has the beginning of its answer and does not take more. Refuses to know the rest of an
exchange's course: exchange.py.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from cortex_gateway.adapters.pool.errors import CONNECT, late, unavailable
from cortex_gateway.adapters.pool.outgoing import Outgoing
from cortex_gateway.adapters.pool.slow import FLOOR, GRACE, SMALL

if TYPE_CHECKING:
    import asyncio

    from cortex_core.kernel import CortexError

_AGAIN: Final = 0.05  # seconds until it is asked again whether there is room


class Paced(Outgoing, ABC):
    """`_placed`: it has one of the service's places; `_slow`: it is among the slow clients."""

    _placed = _slow = _gathering = _shed = False
    _gathered: bytearray
    _held = 0  # bytes that were gathered, and are in memory still
    _owed = 0.0  # since when the client has been behind
    _patience: "asyncio.TimerHandle | None" = None

    def _come_in(self, body: bytes) -> None:
        """The rest of the body is with the client still, `body` is its beginning."""
        departure, now = self._departure, self._pool.loop.time()
        self._owed = now
        if departure.streams and (departure.length is None or departure.length > SMALL):
            return self._join_the_slow(now + CONNECT)
        self._gathering, self._pending, self._gathered = True, b"", bytearray(body)
        self._pool.gathering.begin(self)
        if departure.deadline is not None:
            self._patience = self._pool.loop.call_at(departure.deadline, self._nobody_waits, departure.deadline - now)
        self._counted(len(self._gathered))

    def _join_the_slow(self, until: float) -> None:
        self._patience = None
        now = self._pool.loop.time()
        if self._pool.slow.enter(self, now):
            self._slow = True
            self._owed = now
            self._first()
        elif now < until:
            self._patience = self._pool.loop.call_later(_AGAIN, self._join_the_slow, until)
        else:
            self._fail_soon(unavailable(self._pool.service, "too many send slowly at once", attempted=False))

    # A body that is gathered

    def write(self, data: bytes) -> None:
        if self._gathering:
            return self._gather(data)
        if self._slow:
            now = self._pool.loop.time()
            self._owed = min(now, self._owed + len(data) / FLOOR)
        super().write(data)

    def write_eof(self) -> None:
        if self._shed:
            return None
        if not self._gathering or self._over:
            return super().write_eof()
        self._gathering = False
        self._pool.gathering.whole(self)
        self._forget_patience()
        body = self._pending = bytes(self._gathered)
        self._gathered = bytearray()
        self._departure = self._departure._replace(length=len(body))
        self._eof = True
        self._enter()

    def _gather(self, data: bytes) -> None:
        if data and not self._over and not self._shed:
            self._gathered += data
            self._counted(len(data))

    def _counted(self, size: int) -> None:
        self._held += size
        self._pool.gathering.grew(size)

    def _nobody_waits(self, allowed: float) -> None:
        self._fail(late(self._pool.service, allowed, hurried=True, attempted=False))

    # An answer that is not taken

    def pause_reading(self) -> None:
        if not self._paused:
            self._owed = self._pool.loop.time()
        super().pause_reading()
        if self._placed and self._patience is None:
            self._give_place_back()

    def _give_place_back(self) -> None:
        """Once the answer has begun: until then it is the service's turn, whatever the client does."""
        self._patience = None
        if not (self._paused and self._placed) or self._over:
            return
        if self._has_begun() and self._pool.slow.enter(self, self._pool.loop.time()):
            self._slow, self._placed = True, False
            self._pool.bulkhead.leave()
        else:
            self._patience = self._pool.loop.call_later(GRACE, self._give_place_back)

    # slow.Client

    def behind(self, now: float) -> float:
        connection = self._connection
        waits = self._paused or not (self._eof or connection is None or connection.held)
        return now - self._owed if waits else 0.0

    def shed(self) -> None:
        self._slow, self._shed = False, True
        self._forget_gathered()
        self._fail_soon(unavailable(self._pool.service, "too many clients are slow at once, and this one most"))

    def _end_of_pace(self) -> None:
        """It is over: nothing is held, and nothing is waited for."""
        if self._patience is not None:
            self._forget_patience()
        if self._slow:
            self._slow = False
            self._pool.slow.leave(self)
        if self._gathering or self._held:
            self._forget_gathered()

    def _forget_gathered(self) -> None:
        held, self._held = self._held, 0
        self._gathered = bytearray()
        self._pool.gathering.forget(self, held)

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # exchange.py's part

    @abstractmethod
    def _enter(self) -> None:
        """Into the line for a place."""

    @abstractmethod
    def _first(self) -> None:
        """Its first attempt."""

    @abstractmethod
    def _has_begun(self) -> bool:
        """Whether there is a head of the answer."""

    @abstractmethod
    def _fail(self, error: "CortexError") -> None: ...

    @abstractmethod
    def _fail_soon(self, error: "CortexError") -> None: ...
