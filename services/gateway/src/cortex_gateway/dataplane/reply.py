"""The answer's side of a request in the express lane: what a service (or we) say goes out on the client's connection.

Owns framing and back-pressure towards the client. Head and first part of a body are one write. An answer that a service
does not finish breaks off here too: it never ends as if it were whole.
"""

import socket
import struct
import time
from typing import Final

from cortex_core.asgi.http_cache import Filling
from cortex_core.asgi.problems import problem
from cortex_core.kernel import CortexError, use_context
from cortex_gateway.dataplane.heads import STATUS_LINES, cache_status
from cortex_gateway.dataplane.outcome import Outcome
from cortex_gateway.dataplane.records import Ended
from cortex_gateway.ports import Head

_WITHOUT_BODY: Final = frozenset({204, 304})
_SPECIAL: Final = frozenset({204, 206, 304})  # without a body, or about one that is not there
_GATHERED: Final = 64 << 10  # bytes of an answer that is compressed at one go
_HELD: Final = 64 << 10  # bytes that wait for the end of a turn of the loop
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset, not closed


class Reply(Outcome):
    """One answer. It is a `ports.Receiver`, and what uvicorn calls a cycle, as far as its protocol looks at one."""

    limited = False
    found = b"none"  # what the cache had
    chunked = False
    pending: list[bytes] | None = None  # the head, and what goes out with it
    gathered: list[bytes] | None = None
    old = False  # HTTP/1.0
    waiting_for_100_continue = False
    told = b""  # lines that come of who asked, and what that counts against
    forward: bytes = b""  # why the cache, which has nothing, lets the service be asked
    stored = False
    filling: Filling | None = None  # of what is to be kept

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

    def arrived(self, head: Head, body: bytes) -> None:
        """The whole answer. Most pass as they are, or are compressed at one go: one write, and nothing held."""
        entry, plane, status, length = self.entry, self.plane, head.status, head.length
        if (
            length != len(body)
            or (length > _GATHERED and self.reading.accepts is not None)
            or status in _SPECIAL
            or self.reading.refuses_identity
            or self.filling is not None
        ):
            self.answered(head)
            if body:
                self.received(body)
            return self.completed()
        self.exchange = None
        if plane.changed is not None and not entry.safe and 200 <= status < 400:
            plane.changed(self.principal.tenant, entry.verb, self.request.path)
        fields, body = self._formed(head, body)
        self.status = status
        self.size = size = len(body)
        reason = self.forward or (b"bypass" if entry.safe else b"method")
        self.transport.write(
            b"".join(
                (
                    STATUS_LINES[status],
                    plane.heads.date(time.time()),
                    fields,
                    cache_status(plane.cache, reason, status),
                    self.told,
                    b"x-request-id: ",
                    self.request_id,
                    b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n",
                    body,
                )
            )
        )
        self.response_complete = True
        seconds = time.perf_counter() - self.accepted_at
        ended = Ended(status, seconds, size, True, self.request.shown_path, self.principal, self.request_id)
        plane.records.ended(entry, self.trace, ended)
        if not self.keep_alive:
            self.transport.close()
        return self.connection.express_complete()

    def _formed(self, head: Head, body: bytes) -> tuple[bytes, bytes]:
        """The fields and the body as this client gets them."""
        plane, accepts = self.plane, self.reading.accepts
        recurring = plane.recurring
        if recurring is not None and len(body) >= plane.untouched_below:
            encoded = None if accepts is None else recurring.encoded(accepts, head, body)
            if encoded is not None:
                fields, body = encoded
                return plane.heads.encoded(fields, len(body), limited=self.limited), body
            head = recurring.unasked(head)
        return plane.heads.dressed(head, limited=self.limited), body

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
        reason = self.forward or (b"bypass" if self.entry.safe else b"method")
        line = cache_status(self.plane.cache, reason, status)
        return line.replace(b"\r\n", b"; stored\r\n") if self.stored else line

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
