"""PooledUpstreams: `ports.Upstreams` over the pool that the express lane uses, too: one circuit, one set of places and
one of connections for both. WebSockets are opened by aiohttp, within the same circuit and places; it is loaded with the
first of them.

Bodies stream both ways under back-pressure: the next part is read when the last one was taken. Only waiting for the
service is timed; a client may be as slow as its line.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import orjson

from cortex_core.chassis import Resilience, UpstreamTimeout, outgoing_headers
from cortex_core.kernel import Clock, current, use_context
from cortex_core.observability import Tracer
from cortex_core.resilience import is_idempotent
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.adapters.pool.errors import late, unavailable
from cortex_gateway.adapters.pool.hooks import PoolHooks
from cortex_gateway.adapters.reception import Reception
from cortex_gateway.ports import Answer, Call, Departure, Head, Socket
from cortex_gateway.routes import Service

if TYPE_CHECKING:
    from cortex_gateway.adapters.sockets import Sockets

_MAX_DOCUMENT: Final = 8 << 20  # bytes of a JSON document that we read whole
_CARRIERS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})  # the carrier adds


class PooledUpstreams:
    """`addresses` are base URLs, several of a service by commas. At most `connections` requests at a time to each
    service; as many more wait for half a second. `pool` is the express lane's carrier, `open_sockets` how many
    WebSockets are passed on."""

    def __init__(
        self,
        addresses: Mapping[Service, str],
        *,
        tracer: Tracer,
        clock: Clock,
        connections: int = 256,
        resilience: Resilience | None = None,
        hooks: PoolHooks | None = None,
    ) -> None:
        self._addresses = addresses
        self._tracer = tracer
        self._clock = clock
        blocks = resilience or Resilience(clock=clock)
        self.pool = ConnectionPool(addresses, resilience=blocks, connections=connections, hooks=hooks)
        self.open_sockets = 0
        self._sockets: Sockets | None = None
        self._first_socket = asyncio.Lock()
        self._opened_late: AsyncExitStack

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["PooledUpstreams"]:
        """Holds the connections; closes them at the end of the block."""
        async with self.pool.opened(), AsyncExitStack() as self._opened_late:
            yield self

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[Answer]:
        with self._span(call) as span:
            reception = Reception(call.body)
            reception.exchange = self.pool.begin(self._departure(call), b"", reception)
            async with reception:
                head = await reception.head()
                span.set_attribute("http.response.status_code", head.status)
                yield Answer(head.status, _headers(head), reception.parts())

    def _departure(self, call: Call) -> Departure:
        given = [(name, value) for name, value in call.headers if name not in _CARRIERS]
        context = current()
        with use_context(deadline=None, retry_budget=None):  # both are said anew at every attempt
            ours = outgoing_headers(clock=self._clock)
        lines = [*given, *((name.encode("ascii"), value.encode()) for name, value in ours.items())]
        return Departure(
            service=call.service,
            method=call.method.encode("ascii"),
            target=call.target.encode("ascii"),
            fields=b"".join(b"%b: %b\r\n" % line for line in lines),
            length=_length(call),
            timeout=call.timeout,
            deadline=self._on_loop(context.deadline),
            streams=not call.deadline_sent,
            retry=call.retry and call.body is None and is_idempotent(call.method),
            budget=context.retry_budget,
        )

    def _on_loop(self, deadline: float | None) -> float | None:
        """When the client gives up, where it has said so: on the event loop's clock."""
        if deadline is None:
            return None
        return asyncio.get_running_loop().time() + deadline - self._clock.monotonic()

    @asynccontextmanager
    async def connect(self, call: Call, subprotocols: list[str]) -> AsyncIterator[Socket]:
        """The circuit and the bulkhead guard the opening. An open socket holds a connection, and no place of theirs."""
        with self._span(call):
            headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in call.headers]
            sockets = self._sockets or await self._open_sockets()
            async with sockets.connect(
                call, [*headers, *outgoing_headers(clock=self._clock).items()], subprotocols
            ) as socket:
                self.open_sockets += 1
                try:
                    yield socket
                finally:
                    self.open_sockets -= 1

    async def _open_sockets(self) -> "Sockets":
        async with self._first_socket:
            if self._sockets is None:
                # aiohttp is 6 MB, for gateways that have sockets to pass; and 0.1 s, in which requests go on meanwhile.
                module = await asyncio.to_thread(import_module, "cortex_gateway.adapters.sockets")
                opened: Sockets = await self._opened_late.enter_async_context(module.Sockets(self.pool).opened())
                self._sockets = opened
            return self._sockets

    async def fetch(self, service: Service, path: str, timeout: float) -> Any:
        """Past the circuit: a report on a service is asked of that service."""
        call = Call(service, "GET", path, (), None, timeout, deadline_sent=True)
        try:
            async with asyncio.timeout(timeout):
                body = await self._document(call)
        except (TimeoutError, UpstreamTimeout) as error:
            gone = late(service, timeout, hurried=False)
            self.pool.services[service].ran_out(gone)
            raise gone from error
        try:
            return orjson.loads(body)
        except ValueError as error:
            raise unavailable(service, f"{path} is not JSON") from error

    async def _document(self, call: Call) -> bytes:
        with self._span(call) as span:
            reception = Reception(None)
            reception.exchange = self.pool.begin_unguarded(self._departure(call), reception)
            async with reception:
                head = await reception.head()
                span.set_attribute("http.response.status_code", head.status)
                if head.status != 200:
                    raise unavailable(call.service, f"{call.target} answered {head.status}")
                body = bytearray()
                async for part in reception.parts():
                    body += part
                    if len(body) > _MAX_DOCUMENT:
                        raise unavailable(call.service, f"{call.target} is larger than {_MAX_DOCUMENT} bytes")
                return bytes(body)

    def _span(self, call: Call) -> Any:
        return self._tracer.start_span(
            f"{call.method} {call.service}",
            kind="client",
            attributes={"http.request.method": call.method, "server.address": self._addresses[call.service]},
        )


def _length(call: Call) -> int | None:
    """Bytes of the body to come, as its client said it; our server has judged that."""
    if call.body is None:
        return 0
    return next((int(value) for name, value in call.headers if name == b"content-length"), None)


def _headers(head: Head) -> list[tuple[bytes, bytes]]:
    lines = (line.partition(b":") for line in head.fields.split(b"\r\n")[:-1])
    return [(name, value.strip(b" \t")) for name, _, value in lines]
