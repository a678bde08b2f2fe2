"""The server's side of a WebSocket: uvicorn's, where that leaves a socket open for ever.

uvicorn writes nothing to a client whose buffer is full, not even the close frame, and `transport.close()` waits until
what is buffered has been taken: a client that has stopped reading keeps its socket and its 64 KiB for as long as it
likes, also after the application has let go of it and after a ping it did not answer. Refuses to know what frames say.
"""

import asyncio
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER: Final = 5.0
"""Seconds for a client to take what was sent before the end, and the close frame."""

GOING_AWAY: Final = 1001


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A close frame does not wait behind what is not taken; a socket is cut LINGER seconds after its end; and a server
    that ends says 1001 (RFC 6455, section 7.4.1), where uvicorn's says 1012."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.close_timeout = LINGER
        self._cut: asyncio.TimerHandle | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if self.transport.is_closing():  # by a ping that was not answered, or by the server's end
            raise ClientDisconnected
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # it is the last: at most 127 bytes more than the buffer's bound
        await super().send(message)

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
        super().connection_lost(exc)

    def _cut_later(self) -> None:
        if self._cut is None and not self.disconnected:
            self._cut = self.loop.call_later(LINGER, self.transport.abort)
