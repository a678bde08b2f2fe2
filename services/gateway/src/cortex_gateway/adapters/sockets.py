"""A WebSocket to a service, over aiohttp. Its back-pressure is the transport's: `send` waits, and unread is unsent."""

from typing import Final

import aiohttp

from cortex_core.kernel import CortexError, Kind
from cortex_gateway.ports import Closed
from cortex_gateway.routes import Service

_BROKEN: Final = Closed(1006)


class Refused(CortexError):
    """The service answered a WebSocket's opening with an HTTP status."""

    code, kind = "upstream.socket-refused", Kind.FORBIDDEN

    def __init__(self, service: Service, status: int) -> None:
        super().__init__(f"the {service} service refused the connection with status {status}", service=service)


class AiohttpSocket:
    """See `ports.Socket`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.subprotocol = socket.protocol

    async def send(self, data: str | bytes) -> None:
        """What cannot be sent any more is lost: `receive` tells why."""
        try:
            await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))
        except (aiohttp.ClientError, ConnectionError):
            return

    async def receive(self) -> str | bytes | Closed:
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            return message.data  # type: ignore[no-any-return]  # text of a text frame, bytes of a binary one
        if message.type is aiohttp.WSMsgType.CLOSE:
            return Closed(message.data or 1005, message.extra or "")
        if message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
            return Closed(message.data.code, "")  # it broke the protocol, or our limit: 1002, 1009 …
        return _BROKEN

    async def close(self, closed: Closed) -> None:
        await self._socket.close(code=closed.code, message=closed.reason.encode())
