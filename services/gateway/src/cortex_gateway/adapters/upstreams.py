"""AiohttpUpstreams: each service behind a connection pool of its own, so that one that hangs cannot use up another's.

Bodies stream both ways under back-pressure: the next part is read when the last one was taken. Only waiting for the
service is timed; a client may be as slow as its line.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from cortex_core.chassis import UNWELL, OutOfTime, Resilience, Unwell, UpstreamTimeout, outgoing_headers
from cortex_core.kernel import Clock, current, use_context
from cortex_core.observability import Tracer
from cortex_gateway.adapters.guards import CONNECT, Begin, Guard, Guarded, unavailable
from cortex_gateway.adapters.patience import Patience
from cortex_gateway.adapters.sockets import AiohttpSocket, Refused
from cortex_gateway.ports import Answer, Call
from cortex_gateway.routes import Service

_KEEP_ALIVE: Final = 4.0  # seconds; less than the services' 5, so that we never write on what they are just closing
_MAX_DOCUMENT: Final = 8 << 20  # bytes of a JSON document that we read whole
_MAX_MESSAGE: Final = 1 << 20  # bytes of a WebSocket message, as our own server's limit


class AiohttpUpstreams:
    """`addresses` are base URLs. At most `connections` requests at a time to each service; as many more wait for half a
    second."""

    def __init__(
        self,
        addresses: Mapping[Service, str],
        *,
        tracer: Tracer,
        clock: Clock,
        connections: int = 256,
        resilience: Resilience | None = None,
    ) -> None:
        self._addresses = {service: address.rstrip("/") for service, address in addresses.items()}
        self._tracer = tracer
        self._clock = clock
        self._connections = connections
        self._sessions: dict[Service, aiohttp.ClientSession] = {}
        blocks = resilience or Resilience(clock=clock)
        self._guards = {service: Guard(service, blocks, connections, patience=CONNECT) for service in addresses}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["AiohttpUpstreams"]:
        """Holds the connections; closes them at the end of the block."""
        async with AsyncExitStack() as stack:
            for service in self._addresses:
                self._sessions[service] = await stack.enter_async_context(self._session())
            yield self

    def _session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            requote_redirect_url=False,
        )
        session._retry_connection = False  # its own second attempt knows no budget; the guard's does
        return session

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[Answer]:
        guard = self._guards[call.service]
        async with guard.place(), self._exchange(call, partial(guard.begin, call)) as answer:
            yield answer

    @asynccontextmanager
    async def _exchange(self, call: Call, guarded: Guarded) -> AsyncIterator[Answer]:
        with self._span(call) as span:
            patience = Patience(call.timeout, self._deadline())
            sent = _Sent(call.body, patience) if call.body is not None else None
            response = await guarded(partial(self._begin, call, patience, sent))
            span.set_attribute("http.response.status_code", response.status)
            async with _translated(call.service, patience, sent), patience, response:
                yield Answer(response.status, response.raw_headers, _received(response, patience))

    async def _begin(self, call: Call, patience: Patience, sent: "_Sent | None") -> aiohttp.ClientResponse:
        """The beginning of the service's answer; its body is still on the way."""
        async with _translated(call.service, patience, sent), patience:
            return await self._sessions[call.service].request(
                call.method,
                self._url(call),
                headers=self._headers(call, patience),
                data=sent.parts() if sent is not None else None,
                allow_redirects=False,
            )

    @asynccontextmanager
    async def connect(self, call: Call, subprotocols: list[str]) -> AsyncIterator[AiohttpSocket]:
        """The circuit and the bulkhead guard the opening. An open socket holds a connection, and no place of theirs."""
        with self._span(call):
            async with AsyncExitStack() as stack:
                opened = await self._guards[call.service].open(partial(self._open, call, subprotocols, stack))
                if isinstance(opened, Refused):
                    raise opened
                yield AiohttpSocket(opened)

    async def _open(
        self, call: Call, subprotocols: list[str], stack: AsyncExitStack
    ) -> aiohttp.ClientWebSocketResponse | Refused:
        """A socket that `stack` closes, or how the service declined. Raises Unwell where that says that it cannot."""
        opening = self._sessions[call.service].ws_connect(
            self._url(call),
            headers=self._headers(call, None),
            protocols=subprotocols,
            max_msg_size=_MAX_MESSAGE,
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
            raise UpstreamTimeout(
                f"the {call.service} service kept us waiting for {call.timeout:.3g} s", service=call.service
            ) from error
        except aiohttp.ClientError as error:
            raise unavailable(call.service, type(error).__name__) from error

    async def fetch(self, service: Service, path: str, timeout: float) -> Any:
        """Past the circuit: a report on a service is asked of that service."""
        call = Call(service, "GET", path, (), None, timeout, deadline_sent=True)
        try:
            async with asyncio.timeout(timeout), self._exchange(call, _unguarded) as answer:
                if answer.status != 200:
                    raise unavailable(service, f"{path} answered {answer.status}")
                body = bytearray()
                async for part in answer.body:
                    body += part
                    if len(body) > _MAX_DOCUMENT:
                        raise unavailable(service, f"{path} is larger than {_MAX_DOCUMENT} bytes")
        except TimeoutError as error:
            raise UpstreamTimeout(f"the {service} service kept us waiting for {timeout:.3g} s") from error
        try:
            return orjson.loads(body)
        except ValueError as error:
            raise unavailable(service, f"{path} is not JSON") from error

    def _span(self, call: Call) -> Any:
        return self._tracer.start_span(
            f"{call.method} {call.service}",
            kind="client",
            attributes={"http.request.method": call.method, "server.address": self._addresses[call.service]},
        )

    def _url(self, call: Call) -> URL:
        return URL(self._addresses[call.service] + call.target, encoded=True)

    def _deadline(self) -> float | None:
        """When the client gives up, where it has said so: on the event loop's clock."""
        deadline = current().deadline
        if deadline is None:
            return None
        return asyncio.get_running_loop().time() + deadline - self._clock.monotonic()

    def _headers(self, call: Call, patience: Patience | None) -> CIMultiDict[str]:
        headers = CIMultiDict((name.decode("ascii"), _text(value)) for name, value in call.headers)
        bounded = patience is not None and (call.deadline_sent or patience.deadline is not None)
        # Unbounded, it may take as long as bytes move.
        with use_context(deadline=self._clock.monotonic() + patience.allowed if patience and bounded else None):
            headers.update(outgoing_headers(clock=self._clock))
        return headers


class _Sent:
    """The request's body on its way out. Remembers what broke it: aiohttp hides that behind an error of its own."""

    def __init__(self, body: AsyncIterator[bytes], patience: Patience) -> None:
        self._body = body
        self._patience = patience
        self.failure: Exception | None = None

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            self._patience.stop()
            async for part in self._body:
                self._patience.start()
                yield part
                self._patience.stop()
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._patience.start()


async def _unguarded(begin: Begin) -> aiohttp.ClientResponse:
    return await begin()


@asynccontextmanager
async def _translated(service: Service, patience: Patience, sent: _Sent | None) -> AsyncIterator[None]:
    """What goes wrong with a service is said in the port's words, and what the client does is not laid to it."""
    try:
        yield
    except TimeoutError as error:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise unavailable(service, f"no connection within {CONNECT} s", attempted=False) from error
        if not patience.expired:
            raise
        late = OutOfTime if patience.hurried else UpstreamTimeout
        raise late(f"the {service} service kept us waiting for {patience.allowed:.3g} s", service=service) from error
    except aiohttp.ClientError as error:
        if sent is not None and sent.failure is not None:
            raise sent.failure from None  # the client's doing: its service has nothing to do with it
        reached = not isinstance(error, aiohttp.ClientConnectorError)
        raise unavailable(service, type(error).__name__, attempted=reached) from error


async def _received(response: aiohttp.ClientResponse, patience: Patience) -> AsyncIterator[bytes]:
    patience.start()
    async for part in response.content.iter_any():
        patience.stop()
        yield part
        patience.start()
    patience.stop()


def _text(value: bytes) -> str:
    """A header's value for aiohttp, which writes UTF-8: what is no UTF-8 can only be read as the older Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
