"""One connection to a service, kept alive: reads answers, and holds whoever reads or writes to the other's pace.

Owns the framing of the answer at hand, and whether the connection is for another request: only where the answer was
whole, said where it ends, and nothing came behind it. One timer, moved lazily: it is armed for the earliest moment it
may be needed, twice a second at the least (alive.py), and looks then whether that moment has moved on. Refuses to know
why a request is sent: exchange.py.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Final, cast

from cortex_gateway.adapters.pool.alive import SUSPECT
from cortex_gateway.adapters.pool.errors import malformed, unavailable
from cortex_gateway.adapters.pool.framing import (
    HEAD_LIMIT,
    LONGEST_KNOWN,
    Chunks,
    Malformed,
    has_half_an_end,
    read_head,
)
from cortex_gateway.adapters.pool.relocation import POINTS, relocated
from cortex_gateway.ports import Head

if TYPE_CHECKING:
    from cortex_gateway.adapters.pool.exchange import PooledExchange
    from cortex_gateway.adapters.pool.replicas import Replica

KEEP_ALIVE: Final = 4.0  # seconds; less than the services' 5, so that we never write on what they are just closing
_IDLE, _HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE = range(5)


class Connection(asyncio.Protocol):
    """`used`: requests it has carried before. `held`: the service does not take more of the request now."""

    __slots__ = (
        "_armed",
        "_buffer",
        "_chunks",
        "_due",
        "_lasting",
        "_left",
        "_loop",
        "_paused",
        "_state",
        "_timer",
        "_unknown",
        "exchange",
        "held",
        "replica",
        "transport",
        "used",
    )

    transport: asyncio.Transport

    def __init__(self, replica: "Replica", loop: asyncio.AbstractEventLoop) -> None:
        self.replica = replica
        self.exchange: PooledExchange | None = None
        self.used = 0
        self.held = False
        self._loop = loop
        self._state = _IDLE
        self._buffer = b""
        self._left = 0  # bytes of the body to come, or of the heads that may
        self._chunks: Chunks | None = None
        self._unknown: bytes | None = None  # the head at hand, while nobody has read one like it
        self._lasting = False
        self._paused = False
        self._due = self._armed = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, exchange: "PooledExchange", request: bytes, due: float) -> None:
        """Sends a request, or its beginning, for `exchange`, which is patient until `due`."""
        self.exchange = exchange
        self._state = _HEAD
        self._left = HEAD_LIMIT
        self._due = due
        if due < self._armed:
            self._arm(due)
        self.transport.write(request)

    def keep(self) -> None:
        """Nobody needs it now: kept for the next for a while."""
        self._due = due = self._loop.time() + KEEP_ALIVE
        if due < self._armed:
            self._arm(due)

    def close(self) -> None:
        """At once, whatever is under way: nobody hears of it."""
        self.exchange = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.transport.abort()

    def end(self) -> None:
        """With whatever is under way: that breaks off."""
        exchange = self.exchange
        self.close()
        if exchange is not None:
            exchange.broke(unavailable(exchange.service, "the gateway is closing", attempted=True))

    def pause_reading(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def paused(self) -> bool:
        return self._paused

    def wait_until(self, due: float) -> None:
        """From now on, silence until `due` (the loop's time) is too long."""
        self._due = due
        if due < self._armed:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due = min(due, self._loop.time() + SUSPECT)
        self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer, self._armed = None, math.inf
        if self._loop.time() < self._due:
            if self.exchange is not None:
                self.exchange.still_waits()
            if self._due < math.inf:
                self.wait_until(self._due)
        elif self.exchange is not None:
            self.exchange.waited_too_long()
        else:
            self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.replica.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.replica.lost(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (exchange := self.exchange) is None:
            return None
        if self._state is _UNTIL_CLOSE and error is None:
            return self._complete(exchange)
        self.exchange = None
        silent = self._state is _HEAD and not self._buffer and self._left == HEAD_LIMIT
        why = "it hung up" if error is None else type(error).__name__
        lost = unavailable(exchange.service, why, attempted=True)
        exchange.broke(lost, race=silent and self.used > 0, unclear=not exchange.sent)

    def pause_writing(self) -> None:
        self.held = True
        if self.exchange is not None:
            self.exchange.held()

    def resume_writing(self) -> None:
        self.held = False
        if self.exchange is not None:
            self.exchange.taken()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return self.close()  # nobody has asked for anything
        if self._state == _HEAD and not self._buffer and not exchange.bodiless:
            end = data.find(b"\r\n\r\n") + 4
            if 4 <= end <= LONGEST_KNOWN:
                head, echo = data[:end], exchange.echo
                if echo and echo in head:
                    head = head.replace(echo, b"\r\n", 1)
                    data, end = head + data[end:], len(head)
                known = self.replica.known.find(head)
                if known is None:
                    self._unknown = head
                elif known.length == len(data) - end and exchange.sent and not self.held:
                    return self._arrived(exchange, known, data[end:])
        try:
            if self._state is _HEAD:
                self._read_head(exchange, data)
            else:
                self._read_body(exchange, data)
        except Malformed as error:
            self.close()
            exchange.broke(malformed(exchange.service, str(error)))
        else:
            if self.exchange is exchange:  # else it is over
                exchange.sign_of_life()

    def _arrived(self, exchange: "PooledExchange", head: Head, body: bytes) -> None:
        """A head that is known, and all of its body: as most answers come."""
        self.exchange = None
        self._state = _IDLE
        self.used += 1
        if self._paused:
            self.resume_reading()
        replica = self.replica
        if replica.gone or self.transport.is_closing():
            self.close()
        else:  # `replica.kept`
            replica.idle.append(self)
            self._due = due = self._loop.time() + KEEP_ALIVE
            if due < self._armed:
                self._arm(due)
        exchange.arrived(head, body)

    def _read_head(self, exchange: "PooledExchange", data: bytes) -> None:
        seen = 0
        if self._buffer:
            seen = max(0, len(self._buffer) - 3)
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n", seen) + 4
            if end == 3:
                return self._wait_for_head(data)
            self._left -= end
            if self._left < 0:
                raise Malformed("its head is too long")
            framed = read_head(data, bodiless=exchange.bodiless)
            if POINTS in framed.head.folded:
                framed = framed._replace(head=relocated(framed.head, self.replica.address.authority))
            head, chunked, lasting = framed
            if head.status >= 200:
                break
            self._unknown = None
            if head.status == 101:
                raise Malformed("it switches to a protocol that nobody asked for")
            data, seen = data[end:], 0  # an interim answer: the client has had its own from our server
        if (unknown := self._unknown) is not None:
            self._unknown = None
            self.replica.known.keep(unknown, framed)
        self._lasting = lasting
        if chunked:
            self._state, self._chunks = _CHUNKS, Chunks()
        elif head.length is None:
            self._state = _UNTIL_CLOSE
        else:
            self._state, self._left = _LENGTH, head.length
        exchange.answered(head)
        if self.exchange is exchange:
            self._read_body(exchange, data[end:])

    def _wait_for_head(self, data: bytes) -> None:
        if len(data) > self._left:
            raise Malformed("its head is too long")
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise Malformed("its head is not HTTP/1.1")
        if has_half_an_end(data):
            raise Malformed("a line of its head ends with CR or LF alone")
        self._buffer = data

    def _read_body(self, exchange: "PooledExchange", data: bytes) -> None:
        if self._state is _LENGTH:
            if len(data) > self._left:
                data, self._lasting = data[: self._left], False  # what comes behind an answer is nobody's
            self._left -= len(data)
            ended = not self._left
        elif self._chunks is not None:
            data = self._chunks.feed(data)
            ended = self._chunks.ended
            if self._chunks.rest:
                self._lasting = False
        else:
            ended = False
        if data:
            exchange.receiver.received(data)
        if ended and self.exchange is exchange:
            self._complete(exchange)

    def _complete(self, exchange: "PooledExchange") -> None:
        self.exchange = None
        self._state = _IDLE
        self._chunks = None
        self.used += 1
        if self._lasting and exchange.sent and not self.held and not self.transport.is_closing():
            self.resume_reading()
            self.replica.kept(self)
        else:
            self.close()
        exchange.completed()
