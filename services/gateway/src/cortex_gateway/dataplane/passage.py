"""One request in the express lane, from its head to its service: what it counts against, and its body on the way."""

import logging
from typing import TYPE_CHECKING, Final

from cortex_core.asgi.body_limit import RequestTooLarge
from cortex_core.asgi.http_cache import Filling, Put
from cortex_core.asgi.http_cache.filling import MISSING
from cortex_core.kernel import CortexError, Principal
from cortex_gateway.dataplane.dues import Dues
from cortex_gateway.dataplane.encoding import pairs_of
from cortex_gateway.dataplane.filling import Fill
from cortex_gateway.dataplane.plane import DataPlane, HotAnswer
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.reply import Reply
from cortex_gateway.dataplane.table import Entry
from cortex_gateway.domain import response_headers
from cortex_gateway.ports import Departure, Head
from cortex_gateway.routes import Retry, Route

if TYPE_CHECKING:
    from cortex_core.ratelimit import Decision
    from cortex_gateway.dataplane.protocol import ExpressProtocol

_log = logging.getLogger(__name__)

_HIGH: Final = 64 << 10  # bytes of a body that wait while its limiter is asked
_ROUNDS: Final = 2  # fetches that were overtaken by an event, or left; then everybody asks by himself
_MISSING: Final = MISSING.encode()
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})


class Passage(Reply):
    """`deliver`, `delivered` and `flush` bring the request's body: the next part, its end, and the end of what has come
    for now."""

    admitted = False
    sent = rounds = 0
    fill: Fill | None = None  # while others may wait for what we fetch
    awaited: Head | None = None  # of an answer that goes out when it is whole
    parts: list[bytes]  # of its body

    def __init__(
        self,
        connection: "ExpressProtocol",
        plane: DataPlane,
        entry: Entry,
        reading: Reading,
        target: bytes,
        principal: Principal,
        hot: HotAnswer | None,
        filling: Filling | None = None,
    ) -> None:
        self.hot = hot
        if hot is not None:
            self.found = b"hit"
        self.filling = filling
        if filling is not None:
            self.forward = self.found = _MISSING
        super().__init__(connection, plane, entry, reading, target, principal)
        self.held: list[bytes] = []
        self.whole_body = reading.length == 0 and not reading.chunked

    def start(self, dues: Dues | None) -> None:
        """Counts it, and goes on when it may pass."""
        if dues is None:
            return self._go()
        decision = dues.spent()
        if decision is not None:
            return self._judged(dues, decision)
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
            self._judged(dues, decision)
            self.flush()

    def _judged(self, dues: Dues, decision: "Decision") -> None:
        self.limited = True
        plane, rate = self.plane, decision.policy.name
        told = plane.told(self.entry, self.principal, self.found, rate)
        self.told = told + dues.fields(decision, plane.now())
        if decision.allowed:
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
        other = fills.under_way(tenant, self.target)
        if other is not None:
            return other.join(self)
        self.fill = fills.take(tenant, self.target, filling)
        self._depart(b"")

    def look(self, *, again: bool) -> None:
        """What was waited for."""
        plane, entry, fills = self.plane, self.entry, self.plane.fills
        if self.response_complete or self.disconnected or fills is None or self.filling is None:
            return None
        headers = self.reading.headers
        hot = plane.find_hot(entry, self.target, self.principal, headers, collapsed=True)
        if hot is not None:
            fills.answered(self.filling, hot.status, collapsed=True)
            return self._answer_hot(hot)
        if again and self.rounds < _ROUNDS:
            self.rounds += 1
            filling = fills.begin(entry, self.target, self.principal, self.reading, headers)
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
            fill.settle(outdated=put is Put.OUTDATED)
            head, self.awaited = self.awaited, None
            if head is not None:
                self.exchange = None
                super().answered(head)
                if self.parts:
                    super().received(b"".join(self.parts))
        super().completed()

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
        loop = self.connection.loop
        departure = Departure(
            service=route.service,
            method=self.entry.method,
            target=self.target[self.entry.cut :],
            fields=self._fields(),
            length=length,
            timeout=route.timeout,
            deadline=None if reading.left is None else loop.time() + reading.left / 1000,
            streams=route.streams,
            retry=self._may_retry(route),
            budget=reading.budget,
        )
        self.held.clear()
        self.exchange = plane.carrier.begin(departure, body, self)
        if not self.connection.pipeline:
            self.connection.flow.resume_reading()

    def _may_retry(self, route: Route) -> bool:
        return (
            route.retry is Retry.IDEMPOTENT and self.entry.method in _IDEMPOTENT and self.whole_body and not self.sent
        )

    def _fields(self) -> bytes:
        principal, signed = self.principal, self.plane.signed
        ours = b"" if signed is None else b"x-cortex-principal: %b\r\n" % signed(principal)
        tenant = principal.tenant.encode()
        return b"".join(
            (
                self.reading.passed,
                self.trace.lines(),
                b"x-request-id: ",
                self.request_id,
                b"\r\nx-cortex-tenant: ",
                tenant,
                b"\r\n",
                ours,
            )
        )

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
