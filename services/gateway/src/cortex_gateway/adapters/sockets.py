"""A WebSocket to a service, over aiohttp. Its back-pressure is the transport's: `send` waits, and unread is unsent.

The opening passes the circuit and the places that requests pass, and asks the replica that they would ask.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cortex_core.chassis import UNWELL, Unwell
from cortex_core.chassis.problems import STATUS
from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import CircuitOpenError, Refusal
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.adapters.pool.addresses import Address
from cortex_gateway.adapters.pool.alive import SUSPECT
from cortex_gateway.adapters.pool.errors import CONNECT, late, silent, unavailable
from cortex_gateway.ports import Call, Closed
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
        self.status = status
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


class Sockets:
    """Opens WebSockets to the services of a pool."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Sockets"]:
        """Closes what is open at the end of the block."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # whoever may open one is for the places to say
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            requote_redirect_url=False,
        ) as self._session:
            self._session._retry_connection = False  # its own second attempt knows no budget
            yield self

    @asynccontextmanager
    async def connect(
        self, call: Call, headers: Iterable[tuple[str, str]], subprotocols: list[str]
    ) -> AsyncIterator[AiohttpSocket]:
        """Raises Refused, UpstreamUnavailable, UpstreamTimeout."""
        async with AsyncExitStack() as stack:
            try:
                async with self._pool.services[call.service].bulkhead:
                    opened = await self._guarded(call, headers, subprotocols, stack)
            except Refusal as refusal:
                raise unavailable(call.service, "too many ask it at once", attempted=False) from refusal
            if isinstance(opened, Refused):
                raise opened
            yield AiohttpSocket(opened)

    async def _guarded(
        self, call: Call, headers: Iterable[tuple[str, str]], subprotocols: list[str], stack: AsyncExitStack
    ) -> aiohttp.ClientWebSocketResponse | Refused:
        """A socket that `stack` closes, or how the service declined; whatever its circuit makes of that."""
        service = self._pool.services[call.service]
        replica = service.replicas.choose(service.loop.time(), None, safe=True)
        if replica is None:
            raise silent(call.service)
        replica.outstanding += 1
        waiting = service.loop.call_later(SUSPECT, service.suspect, replica)
        try:
            opened = await service.breaker.execute(self._open, call, replica.address, headers, subprotocols, stack)
        except CircuitOpenError as refusal:
            raise unavailable(call.service, "its circuit is open", attempted=False) from refusal
        except Unwell as unwell:
            service.replicas.failed(replica, service.loop.time())
            return cast("Refused", unwell.answer)
        except CortexError:
            service.replicas.failed(replica, service.loop.time())
            raise
        else:
            if isinstance(opened, Refused) and opened.status >= 500:
                service.replicas.erred(replica, service.loop.time())
            else:
                service.replicas.answered(replica)
            return opened
        finally:
            waiting.cancel()
            replica.let_go()

    async def _open(
        self,
        call: Call,
        address: Address,
        headers: Iterable[tuple[str, str]],
        subprotocols: list[str],
        stack: AsyncExitStack,
    ) -> aiohttp.ClientWebSocketResponse | Refused:
        """Raises Unwell where the service says that it cannot."""
        opening = self._session.ws_connect(
            _url(address, call.target),
            headers=CIMultiDict([("Host", address.authority), *headers]),
            protocols=subprotocols,
            max_msg_size=call.body_limit + 1,  # aiohttp refuses what is as large
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            heartbeat=20.0,
            autoclose=False,
        )
        try:
            async with asyncio.timeout(call.timeout):
                return await stack.enter_async_context(opening)
        except aiohttp.WSServerHandshakeError as error:
            retry_after = error.headers.get("Retry-After") if error.headers is not None else None
            refused = Refused(call.service, error.status, retry_after)
            if error.status in UNWELL:
                raise Unwell(refused, error.status) from error
            return refused
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise unavailable(call.service, f"no connection within {CONNECT} s", attempted=False) from error
            gone = late(call.service, call.timeout, hurried=False)
            self._pool.services[call.service].ran_out(gone)
            raise gone from error
        except aiohttp.ClientError as error:
            raise unavailable(call.service, type(error).__name__) from error


def _url(address: Address, target: str) -> URL:
    """By its IP address; with TLS by its name, which the certificate must be for."""
    if address.secure:
        return URL(f"https://{address.authority}{target}", encoded=True)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return URL(f"http://{host}:{address.port}{target}", encoded=True)
