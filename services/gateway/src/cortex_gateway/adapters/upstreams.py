"""AiohttpUpstreams: each service behind a connection pool of its own, so that one that hangs cannot use up another's.

Bodies stream both ways under back-pressure: the next part is read when the last one was taken. Only waiting for the
service is timed; a client may be as slow as its line.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from cortex_core.chassis import UpstreamTimeout, UpstreamUnavailable, outgoing_headers
from cortex_core.kernel import Clock, current
from cortex_core.observability import Tracer
from cortex_gateway.adapters.sockets import AiohttpSocket, Refused
from cortex_gateway.ports import Answer, Call
from cortex_gateway.routes import Service

_CONNECT: Final = 0.5  # seconds to a service on the same network: longer means that it is not there
_KEEP_ALIVE: Final = 4.0  # seconds; less than the services' 5, so that we never write on what they are just closing
_MAX_DOCUMENT: Final = 8 << 20  # bytes of a JSON document that we read whole
_MAX_MESSAGE: Final = 1 << 20  # bytes of a WebSocket message, as our own server's limit


class AiohttpUpstreams:
    """`addresses` are base URLs. At most `connections` requests at a time to each service; one more
    waits for half a second."""

    def __init__(
        self, addresses: Mapping[Service, str], *, tracer: Tracer, clock: Clock, connections: int = 256
    ) -> None:
        self._addresses = {service: address.rstrip("/") for service, address in addresses.items()}
        self._tracer = tracer
        self._clock = clock
        self._connections = connections
        self._sessions: dict[Service, aiohttp.ClientSession] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["AiohttpUpstreams"]:
        """Holds the connections; closes them at the end of the block."""
        async with AsyncExitStack() as stack:
            for service in self._addresses:
                self._sessions[service] = await stack.enter_async_context(self._session())
            yield self

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT, sock_connect=_CONNECT),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            requote_redirect_url=False,
        )

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[Answer]:
        with self._span(call) as span:
            patience = _Patience(call.timeout, self._deadline())
            sent = _Sent(call.body, patience) if call.body is not None else None
            try:
                async with (
                    patience,
                    self._sessions[call.service].request(
                        call.method,
                        self._url(call),
                        headers=self._headers(call, patience),
                        data=sent.parts() if sent is not None else None,
                        allow_redirects=False,
                    ) as response,
                ):
                    span.set_attribute("http.response.status_code", response.status)
                    yield Answer(response.status, response.raw_headers, _received(response, patience))
            except TimeoutError as error:
                if isinstance(error, aiohttp.ConnectionTimeoutError):
                    raise _unavailable(call.service, f"no connection within {_CONNECT} s") from error
                if not patience.expired:
                    raise
                raise UpstreamTimeout(
                    f"the {call.service} service kept us waiting for {patience.allowed:.3g} s", service=call.service
                ) from error
            except aiohttp.ClientError as error:
                if sent is not None and sent.failure is not None:
                    raise sent.failure from None  # the client's doing: its service has nothing to do with it
                raise _unavailable(call.service, type(error).__name__) from error

    @asynccontextmanager
    async def connect(self, call: Call, subprotocols: list[str]) -> AsyncIterator[AiohttpSocket]:
        with self._span(call):
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(call.timeout):
                        socket = await stack.enter_async_context(
                            self._sessions[call.service].ws_connect(
                                self._url(call),
                                headers=self._headers(call, None),
                                protocols=subprotocols,
                                max_msg_size=_MAX_MESSAGE,
                                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                                heartbeat=20.0,
                                autoclose=False,
                            )
                        )
                except aiohttp.WSServerHandshakeError as error:
                    retry_after = error.headers.get("Retry-After") if error.headers is not None else None
                    raise Refused(call.service, error.status, retry_after) from error
                except TimeoutError as error:
                    if isinstance(error, aiohttp.ConnectionTimeoutError):
                        raise _unavailable(call.service, f"no connection within {_CONNECT} s") from error
                    raise UpstreamTimeout(
                        f"the {call.service} service kept us waiting for {call.timeout:.3g} s", service=call.service
                    ) from error
                except aiohttp.ClientError as error:
                    raise _unavailable(call.service, type(error).__name__) from error
                yield AiohttpSocket(socket)

    async def fetch(self, service: Service, path: str, timeout: float) -> Any:
        call = Call(service, "GET", path, (), None, timeout, deadline_sent=True)
        try:
            async with asyncio.timeout(timeout), self.exchange(call) as answer:
                if answer.status != 200:
                    raise _unavailable(service, f"{path} answered {answer.status}")
                body = bytearray()
                async for part in answer.body:
                    body += part
                    if len(body) > _MAX_DOCUMENT:
                        raise _unavailable(service, f"{path} is larger than {_MAX_DOCUMENT} bytes")
        except TimeoutError as error:
            raise UpstreamTimeout(f"the {service} service kept us waiting for {timeout:.3g} s") from error
        try:
            return orjson.loads(body)
        except ValueError as error:
            raise _unavailable(service, f"{path} is not JSON") from error

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

    def _headers(self, call: Call, patience: "_Patience | None") -> CIMultiDict[str]:
        headers = CIMultiDict((name.decode("ascii"), _text(value)) for name, value in call.headers)
        ours = outgoing_headers(None, patience.allowed if patience is not None else 0.0)
        if patience is None or not (call.deadline_sent or patience.deadline is not None):
            del ours["X-Request-Deadline"]  # no bound in all: it may take as long as bytes move
        for name, value in ours.items():
            headers[name] = value
        return headers


class _Patience:
    """How long we wait for the service, as a block that is ended when it is over. `allowed` is in seconds.

    Stopped while it is the client's turn; the client's own deadline (on the loop's clock) holds throughout.
    """

    def __init__(self, timeout: float, deadline: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self.deadline = deadline
        left = timeout if deadline is None else deadline - self._loop.time()
        self.allowed = max(0.0, min(timeout, left))
        self._limit = asyncio.timeout(self.allowed)
        self._inside = False

    @property
    def expired(self) -> bool:
        return self._limit.expired()

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._inside = True

    async def __aexit__(self, *error: Any) -> None:
        self._inside = False
        await self._limit.__aexit__(*error)

    def start(self) -> None:
        end = self._loop.time() + self._timeout
        self._until(end if self.deadline is None else min(end, self.deadline))

    def stop(self) -> None:
        self._until(self.deadline)

    def _until(self, when: float | None) -> None:
        if self._inside and not self.expired:  # the body's last step may come when all is over
            self._limit.reschedule(when)


class _Sent:
    """The request's body on its way out. Remembers what broke it: aiohttp hides that behind an error of its own."""

    def __init__(self, body: AsyncIterator[bytes], patience: _Patience) -> None:
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


async def _received(response: aiohttp.ClientResponse, patience: _Patience) -> AsyncIterator[bytes]:
    patience.start()
    async for part in response.content.iter_any():
        patience.stop()
        yield part
        patience.start()
    patience.stop()


def _unavailable(service: Service, why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"the {service} service is not there now ({why})", retry_after=1.0, service=service)


def _text(value: bytes) -> str:
    """A header's value for aiohttp, which writes UTF-8: what is no UTF-8 can only be read as the older Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
