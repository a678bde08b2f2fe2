"""One request in the express lane, from its head to its service: what it counts against, and its body on the way."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cortex_core.asgi.body_limit import RequestTooLarge
from cortex_core.asgi.http_cache import Filling, Put, SharedAnswerFailed
from cortex_core.asgi.http_cache.filling import MISSING
from cortex_core.asgi.http_cache.flight import FAILED
from cortex_core.kernel import CortexError
from cortex_gateway.dataplane.dues import Dues
from cortex_gateway.dataplane.encoding import pairs_of
from cortex_gateway.dataplane.filling import Fill
from cortex_gateway.dataplane.plane import DataPlane, HotAnswer
from cortex_gateway.dataplane.prepared import Prepared
from cortex_gateway.dataplane.reply import Reply
from cortex_gateway.domain import response_headers
from cortex_gateway.ports import Departure, Head

if TYPE_CHECKING:
    from cortex_core.ratelimit import Decision
    from cortex_gateway.dataplane.protocol import ExpressProtocol

_log = logging.getLogger(__name__)

_HIGH: Final = 64 << 10  # bytes of a body that wait while its limiter is asked
_ROUNDS: Final = 2  # fetches that were overtaken by an event, or left; then everybody asks by himself
_MISSING: Final = MISSING.encode()
_NOT_ASKED: Final = b"none"  # the cache, of who is refused before
_PRINCIPAL: Final = b"x-cortex-principal: "
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Passage(Reply):
    """`deliver`, `delivered` and `flush` bring the request's body: the next part, its end, and the end of what has come
    for now."""

    hot: HotAnswer | None = None
    admitted = False
    on_let_in: Callable[[], None] | None = None  # where the limiter has to be asked
    sent = rounds = 0
    fill: Fill | None = None  # while others may wait for what we fetch
    awaited: Head | None = None  # of an answer that goes out when it is whole
    parts: list[bytes]  # of its body

    def __init__(
        self,
        connection: "ExpressProtocol",
        plane: DataPlane,
        request: Prepared,
        hot: HotAnswer | None = None,
        filling: Filling | None = None,
    ) -> None:
        self.accepted_at = time.perf_counter()
        self.connection = connection
        self.transport = connection.transport
        self.plane = plane
        self.request = request
        self.entry = entry = request.entry
        self.reading = reading = request.reading
        self.principal = request.principal
        self.request_id = reading.request_id or plane.records.ids.request()
        self.trace = plane.records.begin(entry, reading.trace)
        if hot is not None:
            self.hot = hot
            self.found = b"hit"
        elif filling is not None:
            self.filling = filling
            self.forward = self.found = _MISSING
        self.held: list[bytes] = []
        self.whole_body = reading.bare
        self.plain = request.plain

    def start(self, dues: Dues | None, decision: "Decision | None") -> None:
        """Goes on when it may pass. `decision`: what could be said of its dues without asking anybody."""
        if dues is None:
            self.told = self.plane.told(self.entry, self.principal, self.found)
            return self._go()
        if decision is not None:
            return self._judged(dues, decision)
        self.told = self.plane.told(self.entry, self.principal, _NOT_ASKED)
        task = self.connection.loop.create_task(self._ask(dues), name="express-limit")
        self.connection.tasks.add(task)
        task.add_done_callback(self.connection.tasks.discard)

    async def _ask(self, dues: Dues) -> None:
        try:
            decision = await dues.acquire()
        except CortexError as error:
            return self.refuse(error)
        except Exception:  # noqa: BLE001 - a bug of ours is an answer, too
            _log.exception("the limiter failed")
            return self.refuse(CortexError("something went wrong here; the log has the story"))
        if not self.disconnected:
            if decision.allowed and self.on_let_in is not None:
                self.on_let_in()
            self._judged(dues, decision)
            self.flush()

    def _judged(self, dues: Dues, decision: "Decision") -> None:
        self.limited = True
        plane = self.plane
        told = dues.fields(decision, plane.now())
        if plane.shows_policy or plane.everywhere:
            found = self.found if decision.allowed else _NOT_ASKED
            told = plane.told(self.entry, self.principal, found, decision.policy.name) + told
        self.told = told
        if self.plain and decision.allowed and not self.held:
            self.admitted = True
            self._depart(b"")
        elif decision.allowed:
            self._go()
        else:
            self.refuse(dues.refusal(decision))

    def _go(self) -> None:
        self.admitted = True
        if self.hot is not None:
            self._answer_hot(self.hot)
        elif self.entry.local is not None:
            self.whole(200, self.plane.local_fields, self.entry.local.body())
        elif self.filling is not None:
            self._fetch(self.filling)
        elif self.whole_body:
            self._depart(b"".join(self.held))
        elif self.waiting_for_100_continue:
            self.transport.write(_CONTINUE)
            self.waiting_for_100_continue = False

    def _answer_hot(self, hot: HotAnswer) -> None:
        self.status, self.size = hot.status, hot.length
        now = self.plane.now()
        last = b"\r\n" if self.keep_alive else b"\r\nconnection: close\r\n"
        heads = self.plane.heads
        ours = (heads.date(now), self.told, b"x-request-id: ", self.request_id, last)
        self.transport.write(hot.write(b"".join(ours)))
        self.finish()

    # What is kept of the answer, and what was kept of another's.

    def _fetch(self, filling: Filling) -> None:
        """For all who ask for it; or somebody else does, and we wait."""
        fills, tenant = self.plane.fills, self.principal.tenant
        assert fills is not None  # noqa: S101 - who made `filling`
        other = fills.under_way(tenant, self.request.target)
        if other is not None:
            return other.join(self)
        self.fill = fills.take(tenant, self.request.target, filling)
        self._depart(b"")

    def look(self, *, again: bool, error: CortexError | None = None) -> None:
        """What was waited for. The service may fail once: then one of those who wait asks again, for all."""
        plane, entry, fills = self.plane, self.entry, self.plane.fills
        if self.response_complete or self.disconnected or fills is None or self.filling is None:
            return None
        headers = self.reading.headers
        target = self.request.target
        hot = plane.find_hot(entry, target, self.principal, headers, collapsed=True)
        if hot is not None:
            fills.answered(self.filling, hot.status, collapsed=True)
            return self._answer_hot(hot)
        if error is not None and (self.rounds or not again):
            return self.refuse(error, forwarded=True)
        if again and self.rounds < _ROUNDS:
            self.rounds += 1
            filling = fills.begin(entry, target, self.principal, self.reading, headers)
            if filling is not None:
                self.filling = filling
                return self._fetch(filling)
        return self._depart(b"")

    def answered(self, head: Head) -> None:
        if self.filling is not None and self.plane.fills is not None:
            self.plane.fills.answered(self.filling, head.status)
            if self.fill is not None:
                self.filling.heard(head.status, response_headers(head.status, pairs_of(head.fields)))
                if head.length is not None and head.length <= _HIGH:
                    self.awaited, self.parts = head, []  # so that its client hears whether it is kept
                    return
        super().answered(head)

    def received(self, data: bytes) -> None:
        if self.fill is not None and self.filling is not None:
            self.filling.received_part(data)
            if self.awaited is not None:
                return self.parts.append(data)
        super().received(data)

    def completed(self) -> None:
        fill, self.fill = self.fill, None
        if fill is not None and self.filling is not None:
            put = self.filling.land()
            self.stored = put is Put.STORED
            head, self.awaited = self.awaited, None
            status = self.status if head is None else head.status
            fill.settle(outdated=put is Put.OUTDATED, error=SharedAnswerFailed(status) if status in FAILED else None)
            if head is not None:
                self.exchange = None
                super().answered(head)
                if self.parts:
                    super().received(b"".join(self.parts))
        super().completed()

    def failed(self, error: CortexError) -> None:
        fill, self.fill = self.fill, None
        if fill is not None:
            fill.settle(error=error)
        super().failed(error)

    def _record(self, *, complete: bool) -> None:
        fill, self.fill = self.fill, None
        if fill is not None:
            fill.settle(left=self.disconnected)
        super()._record(complete=complete)

    def _depart(self, body: bytes) -> None:
        route, reading, plane = self.entry.route, self.reading, self.plane
        assert route is not None  # noqa: S101 - what has none has answered by itself
        length: int | None = None if reading.chunked else reading.length
        if self.whole_body:
            length = len(body)
        connection, signed = self.connection, plane.signed
        echo = b"\r\nx-request-id: %b\r\n" % self.request_id
        about = self.request.tenant, *(() if signed is None else (_PRINCIPAL, signed(self.principal), b"\r\n"))
        departure = Departure(
            route.service,
            self.entry.method,
            self.request.sent_target,
            b"".join((reading.passed, self.trace.lines(), echo, *about)),
            length,
            route.timeout,
            None if reading.left is None else connection.loop.time() + reading.left / 1000,
            route.streams,
            self.whole_body and not self.sent and self.entry.repeatable,
            reading.budget,
            echo,
        )
        self.held.clear()
        self.exchange = plane.carrier.begin(departure, body, self)
        if connection.flow.read_paused and not connection.pipeline:
            connection.flow.resume_reading()

    # The request's body.

    def deliver(self, data: bytes) -> None:
        if self.response_complete:  # answered already: what else comes is nobody's
            return None
        self.waiting_for_100_continue = False  # it did not
        self.sent += len(data)
        limit = self.entry.route.body_limit if self.entry.route is not None else 0
        if self.sent > limit:
            return self._too_large(limit)
        if self.exchange is not None:
            return self.exchange.write(data)
        self.held.append(data)
        if self.sent > _HIGH and not self.admitted:
            self.connection.flow.pause_reading()

    def holds(self, body: bytes) -> None:
        """Before `start`: this is all of its body."""
        self.held.append(body)
        self.sent, self.whole_body = len(body), True

    def delivered(self) -> None:
        if self.response_complete or self.whole_body:
            return
        self.whole_body = True
        if self.exchange is not None:
            self.exchange.write_eof()
        elif self.admitted:
            self._depart(b"".join(self.held))

    def flush(self) -> None:
        if self.held and self.admitted and self.exchange is None and not self.response_complete:
            self._depart(b"".join(self.held))

    def hold_body(self) -> None:
        self.connection.flow.pause_reading()

    def go_on(self) -> None:
        if not self.connection.pipeline and not self.response_complete:
            self.connection.flow.resume_reading()

    def _too_large(self, limit: int) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abort()
        self.failed(RequestTooLarge(limit))
