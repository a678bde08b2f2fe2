"""How a request in the express lane ends, and what is known of it from its beginning to there.

Owns that each is recorded once, whatever its end. What goes out before that is reply.py's.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from cortex_core.kernel import Context, Principal
from cortex_gateway.dataplane.plane import DataPlane, Encoding
from cortex_gateway.dataplane.prepared import Prepared
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.records import Ended, Trace
from cortex_gateway.dataplane.table import Entry
from cortex_gateway.ports import Exchange

if TYPE_CHECKING:
    from cortex_gateway.dataplane.protocol import ExpressProtocol

_CLIENT_LEFT: Final = 499  # as `asgi.AccessLog` has it


class Outcome:
    """One request under way. Its maker sets what has no value here."""

    accepted_at: float
    connection: "ExpressProtocol"
    transport: asyncio.Transport
    plane: DataPlane
    request: Prepared
    entry: Entry
    reading: Reading
    principal: Principal
    request_id: bytes
    trace: Trace
    message_event: "_Unheard"
    exchange: Exchange | None = None
    response_complete = disconnected = False
    status = size = 0
    encoding: Encoding | None = None
    keep_alive = True

    def hold_answer(self) -> None:
        """The client does not take more now."""
        if self.exchange is not None:
            self.exchange.pause_reading()

    def go_on_answering(self) -> None:
        if self.exchange is not None:
            self.exchange.resume_reading()

    def left(self) -> None:
        """The client has hung up."""
        if self.response_complete or self.disconnected:
            return
        self.disconnected = True
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abort()
        self.status = self.status or _CLIENT_LEFT
        self._record(complete=False)

    def finish(self, *, complete: bool = True) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self.transport.close()
        self._record(complete=complete)
        self.connection.express_complete()

    def _record(self, *, complete: bool) -> None:
        if self.encoding is not None:
            self.encoding.close()
        seconds, size = time.perf_counter() - self.accepted_at, 0 if self.entry.head else self.size
        ended = Ended(self.status, seconds, size, complete, self.request.shown_path, self.principal, self.request_id)
        self.plane.records.ended(self.entry, self.trace, ended)

    @property
    def path(self) -> str:
        return self.request.path

    def context(self) -> Context:
        return Context(
            trace=self.trace.context(),
            tenant=self.principal.tenant,
            principal=self.principal,
            request_id=self.request_id.decode(),
        )


class _Unheard:
    """Nobody waits for messages here."""

    def set(self) -> None:
        """Nothing happens."""


Outcome.message_event = _Unheard()
