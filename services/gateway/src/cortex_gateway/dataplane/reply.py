"""The answer's side of a request in the express lane: what a service (or we) say goes out on the client's connection.

Owns framing and back-pressure towards the client. Head and first part of a body are one write. An answer that a service
does not finish breaks off here too: it never ends as if it were whole.
"""

import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from cortex_core.asgi.problems import problem
from cortex_core.kernel import Context, CortexError, Principal, use_context
from cortex_gateway.dataplane.heads import STATUS_LINES
from cortex_gateway.dataplane.plane import DataPlane, Encoding
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.records import Ended
from cortex_gateway.dataplane.table import Entry
from cortex_gateway.ports import Exchange, Head

if TYPE_CHECKING:
    from cortex_gateway.dataplane.protocol import ExpressProtocol

_WITHOUT_BODY: Final = frozenset({204, 304})
_GATHERED: Final = 64 << 10  # bytes of an answer that is compressed at one go
_HELD: Final = 64 << 10  # bytes that wait for the end of a turn of the loop
_CLIENT_LEFT: Final = 499  # as `asgi.AccessLog` has it
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset, not closed


class Reply:
    """One answer. It is a `ports.Receiver`, and what uvicorn calls a cycle, as far as its protocol looks at one."""

    message_event: "_Unheard"
    exchange: Exchange | None = None
    limited = False
    response_complete = disconnected = False
    status = size = 0
    found = b"none"  # what the cache had
    chunked = False
    encoding: Encoding | None = None
    pending: list[bytes] | None = None  # the head, and what goes out with it
    gathered: list[bytes] | None = None
    forward: bytes = b""  # why the cache, which has nothing, lets the service be asked
    stored = False

    def __init__(
        self,
        connection: "ExpressProtocol",
        plane: DataPlane,
        entry: Entry,
        reading: Reading,
        target: bytes,
        principal: Principal,
    ) -> None:
        self.accepted_at = time.perf_counter()
        self.connection = connection
        self.transport = connection.transport
        self.plane = plane
        self.entry = entry
        self.reading = reading
        self.target = target
        self.principal = principal
        self.request_id = reading.request_id or plane.records.ids.request()
        self.trace = plane.records.begin(entry, reading.trace)
        self.told = plane.told(entry, principal, self.found)
        self.old = connection.scope["http_version"] != "1.1"
        self.keep_alive = connection.keep_alive
        self.waiting_for_100_continue = reading.expects and not self.old

    # What a service says (ports.Receiver).

    def answered(self, head: Head) -> None:
        self.status = head.status
        entry, plane = self.entry, self.plane
        if plane.changed is not None and not entry.safe and 200 <= head.status < 400:
            plane.changed(self.principal.tenant, entry.verb, self.path)
        if plane.encoder is not None:
            encoding = plane.encoder.begin(
                self.reading.accepts, head, entry.method, held=self.reading.held, old=self.old
            )
            if encoding is not None:
                self.encoding = encoding
                if encoding.coding is not None and not entry.head and (head.length or _GATHERED + 1) <= _GATHERED:
                    self.gathered = []
                    return
                head = Head(head.status, encoding.fields, encoding.fields.lower(), encoding.length)
        self._begin(head)
        if self.connection.flow.write_paused:
            self.hold_answer()

    def received(self, data: bytes) -> None:
        pending = self.pending
        if pending is not None and self.encoding is None and not self.chunked:  # the usual: all in one write
            self.pending = None
            self.size += len(data)
            pending.append(data)
            return self.transport.write(b"".join(pending))
        if self.gathered is not None:
            return self.gathered.append(data)
        if self.encoding is not None:
            data = self.encoding.write(data)
        if data:
            self._write(data)

    def completed(self) -> None:
        self.exchange = None
        encoding = self.encoding
        if encoding is not None:
            if self.gathered is not None:
                body = encoding.whole(b"".join(self.gathered))
                self._begin(Head(self.status, encoding.fields, encoding.fields.lower(), len(body)))
                self._write(body)
            elif not self._bodiless and (rest := encoding.finish()):
                self._write(rest)
            encoding.close()
        if self.chunked:
            self._put(b"0\r\n\r\n")
        self._flush()
        self.finish()

    def failed(self, error: CortexError) -> None:
        self.exchange = None
        if self.gathered is not None:  # nothing of it has gone out
            self.gathered = self.encoding = None
            self.status = 0
        if self.status:
            return self.break_off()
        self.refuse(error, forwarded=True)

    # What goes out.

    @property
    def response_started(self) -> bool:
        return self.status != 0 and self.pending is None and self.gathered is None

    @property
    def _bodiless(self) -> bool:
        return self.entry.head or self.status in _WITHOUT_BODY

    def _begin(self, head: Head) -> None:
        """The head waits for the first part of the body: they are one write."""
        bodiless = head.status in _WITHOUT_BODY
        fields = self.plane.heads.passed(head.fields, head.folded, limited=self.limited, bodiless=bodiless)
        framing = b"\r\n"
        if head.length is None and not bodiless and not self.entry.head:
            if self.old:
                self.keep_alive = False  # only its end will tell
            else:
                self.chunked = True
                framing = b"transfer-encoding: chunked\r\n\r\n"
            self.connection.loop.call_soon(self._flush)
        self.pending = [self._head(head.status, fields + self._kept(head.status)) + framing]

    def _kept(self, status: int) -> bytes:
        """What the cache, which did not see this, would say of it."""
        cache = self.plane.cache
        reason = self.forward or (b"bypass" if self.entry.safe else b"method")
        stored = b"; stored" if self.stored else b""
        return b"cache-status: %b; fwd=%b; fwd-status=%d%b\r\n" % (cache, reason, status, stored) if cache else b""

    def _head(self, status: int, fields: bytes) -> bytes:
        date = self.plane.heads.date(time.time())
        last = b"\r\n" if self.keep_alive else b"\r\nconnection: close\r\n"
        return b"".join((STATUS_LINES[status], date, fields, self.told, b"x-request-id: ", self.request_id, last))

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        self._put(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _put(self, data: bytes) -> None:
        pending = self.pending
        if pending is None:
            return self.transport.write(data)
        pending.append(data)
        if not self.chunked or self.size > _HELD:
            self._flush()

    def _flush(self) -> None:
        if self.pending is not None and not self.disconnected:
            data, self.pending = b"".join(self.pending), None
            self.transport.write(data)

    def whole(self, status: int, fields: bytes, body: bytes) -> None:
        """An answer of our own. `fields` are lines, each ended by CRLF, without its length."""
        self.status = status
        fields = b"%bcontent-length: %d\r\n%b" % (fields, len(body), self.plane.heads.security)
        head = self._head(status, fields)
        if self.entry.head:
            body = b""
        self.size = len(body)
        self.transport.write(b"".join((head, b"\r\n", body)))
        self.finish()

    def refuse(self, error: CortexError, *, forwarded: bool = False) -> None:
        """A problem, where no answer has begun. `forwarded`: of what had passed the limiter, and the cache with it."""
        if self.response_complete or self.disconnected:
            return
        with use_context(self.context()):
            status, headers, body = problem(error, self.path)
        lines = [b"%b: %b\r\n" % pair for pair in headers if pair[0] != b"content-length"]
        if forwarded:
            lines.append(self._kept(status))
        self.whole(status, b"".join(lines), body)

    def break_off(self) -> None:
        """The rest of the answer will not come."""
        self._flush()
        if self.old:  # to whom the end of the connection would be that of the answer
            taken: socket.socket | None = self.transport.get_extra_info("socket")
            if taken is not None:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()
        else:
            self.transport.close()
        self.finish(complete=False)

    # How it ends.

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
        ended = Ended(self.status, seconds, size, complete, self.path, self.principal, self.request_id)
        self.plane.records.ended(self.entry, self.trace, ended)

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("ascii")

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


Reply.message_event = _Unheard()
