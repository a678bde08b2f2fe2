"""One response on its way out: held until its first bytes say what becomes of it, then passed on or encoded.

A small state machine: `_take` is what the next message goes to. Next: `encoding.py` does what is decided here.
"""

from cortex_core.asgi.compression import rules
from cortex_core.asgi.compression.codecs import Codec
from cortex_core.asgi.compression.deciding import body_length, content_type
from cortex_core.asgi.compression.encoding import Encoding, Terms
from cortex_core.asgi.compression.pressure import Load
from cortex_core.asgi.types import Message, Scope, Send, header


class Outgoing:
    """`codec` is the one that the client gets, if any; `identity`: whether it would also take the bytes as they are."""

    def __init__(self, terms: Terms, scope: Scope, codec: Codec | None, send: Send, *, identity: bool) -> None:
        self._terms = terms
        self._worth = terms.worth
        self._scope = scope
        self._codec = codec
        self._identity = identity
        self._send = send
        self._take: Send = self._head
        self._held: Message | None = None
        self._found: dict[bytes, bytes] = {}
        self._encoding: Encoding | None = None

    async def send(self, message: Message) -> None:
        await self._take(message)

    async def ended(self) -> None:
        """The application has returned: a head that still waits for its body goes out, and what is held of a body."""
        if self._take == self._first and self._held is not None:
            await self._send(self._held)
        elif self._encoding is not None:
            await self._encoding.settled()

    def close(self) -> None:
        """Frees the compressor, and reports."""
        if self._encoding is not None:
            self._encoding.close()

    async def _head(self, message: Message) -> None:
        if message["type"] != "http.response.start":  # an early hint: the response has not begun
            return await self._send(message)
        self._found = rules.read(message.get("headers", ()))
        if not rules.untouchable(message["status"], self._found):
            self._held, self._take = message, self._first
        else:
            self._take = self._send
            await self._send(self._as_for_the_whole(message) if message["status"] in {206, 304} else message)

    def _as_for_the_whole(self, message: Message) -> Message:
        headers = self._worth.for_the_whole(
            message["status"],
            message.get("headers", ()),
            self._found,
            held=(header(self._scope["headers"], b"if-none-match") or "").encode("latin-1"),
            encodes=self._codec is not None,
            identity=self._identity,
        )
        return message if headers is None else {**message, "headers": headers}

    async def _first(self, message: Message) -> None:
        start, self._held = self._held, None
        assert start is not None  # noqa: S101 - for the type checker: the head came before
        if message["type"] != "http.response.body" or not self._varies(message):
            self._take = self._send
        elif taker := None if self._codec is None else self._encoder(self._codec, start, message):
            self._take = taker
            return await taker(message)
        else:
            self._take, start = self._send, {**start, "headers": rules.varied(start.get("headers", ()))}
        await self._send(start)
        await self._send(message)

    def _varies(self, message: Message) -> bool:
        """Whether some client gets this body encoded, by its first message."""
        return self._worth.varies(self._found, self._length(message), identity=self._identity)

    def _encoder(self, codec: Codec, start: Message, message: Message) -> Send | None:
        """What the body goes to; None: it goes out as it is."""
        load = self._terms.pressure()
        bodiless = self._scope["method"] == "HEAD"
        keeps = not bodiless and self._keeps(start, self._length(message))
        spared = load is Load.OFF and self._identity
        if not keeps and (spared or (not bodiless and self._is_chunked(message))):
            return None
        declared = rules.declared_length(self._found)
        joins = not rules.is_event_stream(content_type(self._found))  # an event is sent when it is told
        encoding = Encoding(self._terms, codec, load, start, self._send, declared=declared, spared=spared, joins=joins)
        self._encoding = encoding
        if bodiless:
            return encoding.bodiless
        return encoding.kept if keeps else encoding.body

    def _is_chunked(self, message: Message) -> bool:
        """Whether, encoded, it would have no length, and the client does not know chunks (RFC 9112, section 6.1)."""
        streams = message.get("more_body", False) or len(message.get("body", b"")) > self._terms.off_loop
        return streams and self._scope.get("http_version") == "1.0"

    def _length(self, message: Message) -> int | None:
        sent, more = len(message.get("body", b"")), message.get("more_body", False)
        return body_length(self._found, sent, more=more, head=self._scope["method"] == "HEAD")

    def _keeps(self, start: Message, length: int | None) -> bool:
        kept = self._terms.precompressed
        if kept is None or length is None or length > kept.max_body:
            return False
        return kept.applies(self._scope, start.get("headers", ()))
