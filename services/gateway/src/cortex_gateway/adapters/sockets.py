"""A WebSocket to a service, over aiohttp. Its back-pressure is the transport's: `send` waits, and unread is unsent."""

import re
from typing import Final

import aiohttp

from cortex_core.chassis.problems import STATUS
from cortex_core.kernel import CortexError, Kind
from cortex_gateway.ports import Closed
from cortex_gateway.routes import Service

_BROKEN: Final = Closed(1006)
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)

_PASSED_ON: Final = {
    STATUS[kind]: kind
    for kind in (
        Kind.INVALID,
        Kind.UNAUTHENTICATED,
        Kind.FORBIDDEN,
        Kind.NOT_FOUND,
        Kind.RATE_LIMITED,
        Kind.UNAVAILABLE,
        Kind.TIMEOUT,
    )
}
"""What tells the client something about itself, or when to come back. Any other status is between the service and us:
to the client, the service is not there."""


class Refused(CortexError):
    """The service answered a WebSocket's opening with an HTTP status. The client gets to hear the same, and when it may
    ask again, if the service says so in seconds."""

    code = "upstream.socket-refused"

    def __init__(self, service: Service, status: int, retry_after: str | None = None) -> None:
        self.kind = _PASSED_ON.get(status, Kind.UNAVAILABLE)  # type: ignore[misc]  # of the instance: it is the service's
        seconds = float(retry_after) if retry_after is not None and _SECONDS.fullmatch(retry_after) else None
        super().__init__(
            f"the {service} service refused the connection with status {status}", retry_after=seconds, service=service
        )


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
