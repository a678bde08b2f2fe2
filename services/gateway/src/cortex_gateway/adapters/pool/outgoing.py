"""What of an exchange goes out: the request's body, at the pace at which the service takes it, and whose turn it is.

Owns the difference between a service that keeps us waiting and a client that does: only the first is timed. Refuses to
know how there comes to be a connection: exchange.py.
"""

import math
from typing import TYPE_CHECKING

from cortex_gateway.adapters.pool.request import chunk
from cortex_gateway.ports import Departure, Receiver

if TYPE_CHECKING:
    from cortex_gateway.adapters.pool.connection import Connection
    from cortex_gateway.adapters.pool.service import ServicePool


class Outgoing:
    """A `ports.Exchange` but for its beginning and its end. `sent`: the request is complete, and on its connection;
    `bodiless`: its answer has no body. What nearly all exchanges have alike stands in the class: this is made for every
    request."""

    _connection: "Connection | None" = None
    _holding = False
    _over = False
    _paused = False  # whatever connection there may come
    sent = False

    def __init__(self, pool: "ServicePool", departure: Departure, body: bytes, receiver: Receiver) -> None:
        self._pool = pool
        self._departure = departure
        self.receiver = receiver
        self.bodiless = departure.method == b"HEAD"
        self.echo = departure.echo
        length = departure.length
        self._pending = chunk(body) if body and length is None else body  # until there is a connection
        self._eof = length is not None and len(body) >= length

    def write(self, data: bytes) -> None:
        if not data or self._over or self._eof:
            return
        if self._departure.length is None:
            data = chunk(data)
        self._hand_over(data)

    def write_eof(self) -> None:
        if self._over or self._eof:
            return
        self._eof = True
        self._hand_over(b"0\r\n\r\n" if self._departure.length is None else b"")

    def _hand_over(self, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            self._pending += data
            self._hold()
            return
        self.sent = self._eof
        if data:
            connection.transport.write(data)
        self.sign_of_life()

    def pause_reading(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause_reading()
            self.sign_of_life()

    def resume_reading(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.resume_reading()
            self.sign_of_life()

    # What its connection tells

    def sign_of_life(self) -> None:
        if (connection := self._connection) is not None:
            connection.wait_until(self._due())

    def _due(self) -> float:
        """Until when it is the service's turn. It is the client's while the rest of the request is to come from there,
        and while it does not take more of the answer."""
        departure, connection = self._departure, self._connection
        if connection is None or connection.paused or not (self._eof or connection.held):
            return math.inf if departure.deadline is None else departure.deadline
        due = self._pool.loop.time() + departure.timeout
        return due if departure.deadline is None else min(due, departure.deadline)

    def held(self) -> None:
        self.sign_of_life()
        self._pool.loop.call_soon(self._hold)  # its sender may be in `begin` still

    def _hold(self) -> None:
        connection = self._connection
        if not self._holding and not self._over and not self._eof and (connection is None or connection.held):
            self._holding = True
            self.receiver.hold_body()

    def taken(self) -> None:
        self.sign_of_life()
        if self._holding:
            self._holding = False
            self.receiver.go_on()
