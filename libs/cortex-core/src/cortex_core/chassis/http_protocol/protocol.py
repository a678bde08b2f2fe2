"""One connection: the guards in their order, and the seam behind them.

Bytes are counted, then parsed; a head that is complete is inspected; only then `dispatch`. Whatever is refused is
answered in its turn, after the answers to what came before, and nothing that came after it is looked at. `dispatch`,
`deliver` and `delivered` are the seam for a subclass that answers some requests by itself (the gateway's express lane).
"""

import asyncio
from functools import partial
from typing import Any, ClassVar, Final

import httptools

from cortex_core.chassis.http_protocol.ending import Ending
from cortex_core.chassis.http_protocol.flow import WatchedFlow
from cortex_core.chassis.http_protocol.heads import Heads, origin_form
from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.http_protocol.received import AT_DATA, SOMEWHERE
from cortex_core.chassis.http_protocol.refusals import OnRefusal, Refusal
from cortex_core.chassis.http_protocol.watch import Phase

HEAD, BODY, BUSY, IDLE, OVER = Phase.HEAD, Phase.BODY, Phase.BUSY, Phase.IDLE, Phase.OVER
_LINE_ENDS: Final = {"1.1": b" HTTP/1.1\r\n", "1.0": b" HTTP/1.0\r\n"}
_LONGEST_HANDSHAKE_LINE: Final = 8192 - 64  # what reads a WebSocket's handshake once more has a bound of its own


class HttpProtocol(Ending):
    """One connection, guarded.

    A subclass that answers by itself sets `self.cycle` to something with a cycle's state (`response_started`,
    `response_complete`, `disconnected`, `keep_alive`, `waiting_for_100_continue`, `message_event`), and calls
    `on_response_complete` at the end. `head_is_all`: what is being read begins with the head at hand, and is no longer
    than a head may be. It stops reading by `hold_reading`, so that the client is not blamed.
    """

    heads: ClassVar[Heads] = Heads(Ending.limits)
    head_is_all: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._body_begins = False

    # --- for a subclass, beside `dispatch`, `deliver`, `delivered` and `abandon` -----------------------------------

    def hold_reading(self) -> None:
        """Stop reading this connection: whoever keeps on sending waits, and is not blamed for being slow."""
        self.flow.pause_reading()

    def go_on_reading(self) -> None:
        self.flow.resume_reading()

    # --- from the transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = WatchedFlow(transport, self.watch)
        self.watch.start()
        if len(self.connections) > self.limits.connections:
            self._answer(Refusal("http.too-many-connections", "there are too many connections: try again"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.watch.stop()
        self.all_left()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        watch, received = self.watch, self.received
        phase = watch.phase
        if phase is BODY:
            watch.last = self.loop.time()
            watch.taken += len(data)
            received.begins = SOMEWHERE
        elif phase >= OVER:
            return self._dropped(len(data))
        elif phase is not HEAD:
            watch.phase = HEAD
            watch.since = self.loop.time()
            received.begins = AT_DATA
        received.data = data
        received.body = received.chunks = 0
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._upgraded(data[upgrade.args[0] :])
            if watch.phase is HEAD:
                received.head_goes_on(self.url)
            elif watch.phase is BODY:
                self._body_goes_on()
        except httptools.HttpParserError as error:
            self._unparsed(error)
        except Refusal as refusal:
            self.refuse(refusal)
        return None

    def _upgraded(self, rest: bytes) -> None:
        """The parser stops behind a head that would upgrade. Where we do not, it goes on."""
        while not self.framing.websocket:
            try:
                return self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
        return self._open_websocket(rest)

    # --- from the parser --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        watch = self.watch
        if watch.phase is not HEAD:
            if watch.phase >= OVER:
                raise Refusal("http.bad-request", "nothing comes after a request that closes")
            watch.phase = HEAD
            watch.since = self.loop.time()
        self.method = self.url = b""
        self.headers = []
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self.parser
        version = parser.get_http_version()
        self.method = parser.get_method()
        target = self.url
        self.framing = framing = self.heads.inspect(self.method, version, target, self.headers, parser.should_upgrade())
        received = self.received
        self.head_is_all = (
            received.begins == AT_DATA
            and received.data.startswith(_LINE_ENDS[version], len(self.method) + len(target) + 1)
            and len(received.data) <= self.limits.head_size
        )
        if not self.head_is_all:
            received.check_head(self._line(version, target), self.headers)
        received.begins = SOMEWHERE
        if target[:1] != b"/":
            self.url = origin_form(target)
        self.keep_alive = version == "1.1" and parser.should_keep_alive()
        self.expect_100_continue = framing.expects_continue
        if framing.websocket:
            return
        if version != "1.1":
            self.scope["http_version"] = version
        self.dispatch()
        self.watch.phase = BODY
        self._body_begins = True
        self._leftover = 0
        if framing.length is None:
            received.chunks_begin(self._line(version, target))
            self.headers = []  # trailers go here, and no further

    def _line(self, version: str, target: bytes) -> bytes:
        return self.method + b" " + target + _LINE_ENDS[version]

    def on_body(self, body: bytes) -> None:
        self.received.body += len(body)
        self.deliver(body)

    def on_chunk_header(self) -> None:
        self.received.chunks += 1

    def on_message_complete(self) -> None:
        if self.framing.websocket:
            return
        watch = self.watch
        watch.phase = BUSY if self.keep_alive else OVER
        self.delivered()
        if watch.phase is BUSY and self.cycle.response_complete:
            watch.phase = IDLE
            watch.since = self.loop.time()

    # --- how it went ------------------------------------------------------------------------------------------------

    def _body_goes_on(self) -> None:
        """The data ended within a body."""
        first, self._body_begins = self._body_begins, False
        if first:
            self.watch.body_begins()
        if self.framing.length is None:
            self.received.chunks_go_on(first=first)
        if self.cycle.response_complete:
            self._dropped(len(self.received.data))

    # --- the rest of uvicorn's, where it differs --------------------------------------------------------------------

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self.go_on()
        elif self._refusal is not None:
            self._answer(self._refusal)
        elif self.watch.phase is BUSY:
            self.watch.phase = IDLE
            self.watch.since = self.loop.time()

    def _open_websocket(self, early: bytes) -> None:
        """The head once more, to who reads WebSockets; that connection is not ours any longer."""
        if early:
            return self.refuse(Refusal("http.bad-upgrade", "nothing is sent before the handshake is answered"))
        if self._owes_answers():
            return self.refuse(Refusal("http.bad-upgrade", "a WebSocket is opened behind no other request"))
        lines = [len(self.url), *(len(name) + len(value) for name, value in self.headers)]
        if max(lines) > _LONGEST_HANDSHAKE_LINE:
            return self.refuse(Refusal("http.head-too-large", "a line of a handshake is too long"))
        self.watch.stop()
        self.watch.phase = OVER
        self.scope["method"] = "GET"
        kind: Any = self.ws_protocol_class
        self.ws_protocol_class = partial(kind, on_refused=self.on_refused)  # type: ignore[assignment]  # it is called
        self.handle_websocket_upgrade()
        return None


def protocol_class(base: type[HttpProtocol], **attributes: Any) -> type[HttpProtocol]:
    """`base` with what its instances need and uvicorn does not hand to them, as attributes of the class."""
    return type(base.__name__, (base,), attributes)


def guarded(
    base: type[HttpProtocol], limits: ConnectionLimits, on_refused: OnRefusal | None = None
) -> type[HttpProtocol]:
    """`base` within `limits`; `on_refused` hears of what was refused."""
    return protocol_class(base, limits=limits, heads=Heads(limits), on_refused=on_refused and staticmethod(on_refused))
