"""The server's side of a WebSocket: uvicorn's, where that leaves a socket open for ever.

uvicorn writes nothing to a client whose buffer is full, not even the close frame, and `transport.close()` waits until
what is buffered has been taken: a client that has stopped reading keeps its socket and its 64 KiB for as long as it
likes, also after the application has let go of it and after a ping it did not answer. Refuses to know what frames say.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from cortex_core.asgi.problems import phrase_of, problem
from cortex_core.chassis.http_protocol.refusals import (
    BAD_FRAMES,
    CODES,
    FIELDS,
    OnRefusal,
    Refusal,
    RefusalDetails,
    path_of,
)
from cortex_core.kernel import CortexError
from cortex_core.kernel.ids import new_id

_log = logging.getLogger(__name__)

LINGER: Final = 5.0
"""Seconds for a client to take what was sent before the end, and the close frame."""

HANDSHAKE: Final = 10.0
"""Seconds for the application to accept or refuse. The client's own part of it is the HTTP server's to bound."""

GOING_AWAY: Final = 1001

_NOT_TEXT: Final = 1007  # RFC 6455, section 7.4.1
_VERSION: Final = "13"
_REFUSED: Final = {403: "http.upgrade-refused", 503: "http.upgrade-timeout"}
_SHOWN: Final = 200


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A close frame does not wait behind what is not taken; a socket is cut LINGER seconds after its end; a server that
    ends says 1001 (RFC 6455, section 7.4.1), where uvicorn's says 1012; and a handshake is refused by a problem."""

    def __init__(self, *arguments: Any, on_refused: OnRefusal | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_refused = on_refused
        self.close_timeout = LINGER
        self.conn.reject = self._refusal  # type: ignore[method-assign]  # whoever refuses asks it for the answer
        self._cut: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if self.transport.is_closing():  # by a ping that was not answered, or by the server's end
            raise ClientDisconnected
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # it is the last: at most 127 bytes more than the buffer's bound
        await super().send(message)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        self._patience = self.loop.call_later(HANDSHAKE, self._handshake_is_late)

    def _refusal(self, status: HTTPStatus | int, text: str) -> Response:
        """A problem, where `websockets` has plain text."""
        error = CortexError("something went wrong here; the log has the story")
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            error = Refusal(_REFUSED.get(int(status), "http.bad-upgrade"), text.partition("\n")[0][:_SHOWN])
        code, fields, body = problem(error, path_of(self.request.path.encode("ascii", "replace")))
        headers = Headers()  # the server's own have the date
        for name, value in (*self.default_headers, *fields, (b"x-request-id", new_id("req").encode()), *FIELDS):
            headers[name.decode("latin-1")] = value.decode("latin-1")
        if code == CODES["http.bad-upgrade"]:
            headers["Sec-WebSocket-Version"] = _VERSION
        return Response(code, phrase_of(code), headers, body)

    def _handshake_is_late(self) -> None:
        if self.handshake_complete or self.initial_response is not None or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        self.conn.send_response(self.conn.reject(503, "nobody answered in time"))
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()
        self._cut_later()

    async def run_asgi(self) -> None:
        self.app = self._answered(self.app)
        try:
            await super().run_asgi()
        finally:
            self._cut_later()

    def _answered(self, app: Any) -> Any:
        """A refusal is an answer too: uvicorn would log an error because no handshake came of it."""

        async def answered(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if self.initial_response is not None and not self.handshake_complete:
                raise ClientDisconnected

        return answered

    def send_receive_event_to_app(self) -> None:
        """A text that is none is its client's fault: uvicorn would log a traceback, for whoever likes to see alerts."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            if not _is_text(self.frames[0]):
                self.frames = []
                self.conn.send_close(_NOT_TEXT, "a text is UTF-8")
                return self.handle_parser_exception()
        return super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """The client broke the protocol, or the bound of a message, and was told so."""
        super().handle_parser_exception()
        closed = self.conn.close_sent
        if self._on_refused is None or closed is None:
            return
        client = self.client[0] if self.client else ""
        try:
            self._on_refused(RefusalDetails(BAD_FRAMES, 0, f"{closed.code}: {closed.reason}"[:_SHOWN], client, ""))
        except Exception:  # noqa: BLE001 - a listener's mistake must not keep a connection open
            _log.exception("a refusal hook failed")

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_later()

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY, "reason": ""})
            self.conn.send_close(GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        else:
            super().shutdown()
        self._cut_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._cut is not None:
            self._cut.cancel()
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _cut_later(self) -> None:
        if self._cut is None and not self.disconnected:
            self._cut = self.loop.call_later(LINGER, self.transport.abort)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
