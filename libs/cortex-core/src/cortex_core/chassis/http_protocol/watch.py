"""The watch over one connection: what it is waited for, since when, and for how much longer.

One timer a connection. It is not moved when something happens: what happens only notes the time, and the timer looks
when it fires, at most one `tick` later, whether anything has fallen due. A request costs it two assignments.
Refuses to know what HTTP is: the connection says which phase it is in.
"""

import asyncio
from enum import IntEnum
from typing import Final, Protocol

from cortex_core.chassis.http_protocol.limits import ConnectionLimits

_SOONEST: Final = 0.001


class Phase(IntEnum):
    """What the client owes us."""

    HEAD = 0  # the rest of a head, or its beginning on a new connection
    BODY = 1  # the rest of a body
    BUSY = 2  # nothing: we owe an answer
    IDLE = 3  # nothing yet: the last answer is out
    OVER = 4  # nothing any more: what still comes is not looked at
    LINGERING = 5  # to read our last word and go: closing at once would take that away from it (RFC 9112, section 9.6)


class Watched(Protocol):
    """The connection, as its watch sees it."""

    def unanswered(self, phase: Phase) -> None:
        """The client took too long with what it owes in this phase."""
        ...

    def unread(self) -> None:
        """The client does not take what we send."""
        ...

    def unsent(self) -> int | None:
        """Bytes that wait to be taken by a client whom we wait for; None where we do not."""
        ...

    def patient(self) -> bool:
        """Whether it is us who keep the client from sending: it waits for our `100 Continue`."""
        ...


class Watch:
    """`phase`, `since` (when it began), `last` (when the last byte of a body came) and `taken` (bytes of it) are the
    connection's to write; all times are the loop's."""

    __slots__ = ("_connection", "_handle", "_held", "_limits", "_loop", "_stuck", "last", "phase", "since", "taken")

    def __init__(self, connection: Watched, loop: asyncio.AbstractEventLoop, limits: ConnectionLimits) -> None:
        self._connection = connection
        self._loop = loop
        self._limits = limits
        self._handle: asyncio.TimerHandle | None = None
        self._held: float | None = None
        self._stuck: tuple[float, int] | None = None
        self.phase = Phase.HEAD
        self.since = self.last = 0.0
        self.taken = 0

    def start(self) -> None:
        self.since = self._loop.time()
        self._handle = self._loop.call_later(self._limits.tick, self._look)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def body_begins(self) -> None:
        self.since = self.last = self._loop.time()
        self.taken = 0

    def linger(self) -> None:
        self.phase, self.since = Phase.LINGERING, self._loop.time()

    def hold(self) -> None:
        """We stop reading: from now on the client is not to blame."""
        if self._held is None:
            self._held = self._loop.time()

    def go_on(self) -> None:
        if self._held is not None:
            pause = self._loop.time() - self._held
            self.since += pause
            self.last += pause
            self._held = None

    def taking(self) -> None:
        """The client has taken enough for more to be sent."""
        self._stuck = None

    def not_taking(self) -> None:
        """More waits to be sent than may."""
        self._stuck = (self._loop.time(), self._connection.unsent() or 0)

    def _look(self) -> None:
        now = self._loop.time()
        due = min(now + self._limits.tick, self._receiving(now), self._sending(now))
        if self._handle is not None:  # else it has ended by what was found
            self._handle = self._loop.call_later(max(due - now, _SOONEST), self._look)

    def _receiving(self, now: float) -> float:
        """When to look again; where the time is up already, the connection is told, and that is not soon."""
        limits, phase = self._limits, self.phase
        if self._held is not None or phase in (Phase.BUSY, Phase.OVER):
            return now + limits.tick
        if phase is Phase.BODY and self._connection.patient():
            self.body_begins()
        due = self._due()
        if due > now:
            return due
        self._connection.unanswered(phase)
        return now + limits.tick

    def _due(self) -> float:
        limits = self._limits
        if self.phase is Phase.HEAD:
            return self.since + limits.head_timeout
        if self.phase is Phase.IDLE:
            return self.since + limits.keep_alive
        if self.phase is Phase.LINGERING:
            return self.since + limits.linger
        paid_until = self.since + max(limits.body_grace, self.taken / limits.body_rate)
        return min(self.last + limits.body_silence, paid_until)

    def _sending(self, now: float) -> float:
        limits, unsent = self._limits, self._connection.unsent()
        if not unsent:
            self._stuck = None
        elif self._stuck is None or self._stuck[1] - unsent >= limits.body_rate * limits.write_silence:
            self._stuck = (now, unsent)
        elif now - self._stuck[0] >= limits.write_silence:
            self._connection.unread()
            self._stuck = (now, unsent)
        return now + limits.tick if self._stuck is None else self._stuck[0] + limits.write_silence
