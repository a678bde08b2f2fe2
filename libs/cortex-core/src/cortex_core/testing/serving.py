"""An ASGI application under its real server, in the test's own loop, so that a test can hold both ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

# Seconds after which the client leaves an idle connection. The server does after five: it would, now and then, just as
# a request is on its way, and what is not idempotent is not sent again.
_IDLE = 2.0

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]


@asynccontextmanager
async def serving(
    app: App, *, protocol: "type[asyncio.Protocol] | None" = None
) -> "AsyncIterator[aiohttp.ClientSession]":
    """Runs `app` with its lifespan under uvicorn on a free loopback port; yields a client whose `base_url` it is.

    `protocol` is the class of its HTTP connections: the chassis' where none is named. What the lifespan raises at its
    start or its end is raised here. At the end of the block open requests have 5 s.
    """
    import aiohttp  # late: cortex_core.testing works where none of them is installed
    import uvicorn

    from cortex_core.chassis.http_protocol import HttpProtocol
    from cortex_core.chassis.websocket import WebSocketProtocol

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:  # Ctrl-C belongs to pytest
            return nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().startup(sockets)
            except SystemExit as error:  # a lifespan that failed: no reason to end the test run
                raise RuntimeError("the application did not start") from error

        async def main_loop(self) -> None:  # uvicorn's own looks every 100 ms whether it is over
            await self.on_tick(0)
            ready.set()
            await over.wait()
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """As uvicorn's own, which sleeps for 100 ms whether anybody is left or not: most of what a suite took."""
            for listening in (*self.servers, *(sockets or ())):
                listening.close()
            for connection in list(self.server_state.connections):
                connection.shutdown()
            try:
                async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                    while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody
                        await asyncio.sleep(0.001)
                    for listening in self.servers:
                        await listening.wait_closed()
            except TimeoutError:
                for task in self.server_state.tasks:
                    task.cancel()
            await self.lifespan.shutdown()

    ready, over = asyncio.Event(), asyncio.Event()
    lifespan = _Lifespan(app)
    config = uvicorn.Config(
        lifespan,
        http=protocol or HttpProtocol,
        ws=WebSocketProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    # The protocol is named: with 0 asyncio leaves Nagle's algorithm on, and every answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = asyncio.create_task(Server(config).serve(sockets=[listener]), name="serving")
        started = asyncio.create_task(ready.wait(), name="serving-ready")
        try:
            await asyncio.wait({server, started}, return_when=asyncio.FIRST_COMPLETED)
            lifespan.raise_failure()
            if server.done():
                await server
                raise RuntimeError("the server ended before it was ready")
            port = listener.getsockname()[1]
            connector = aiohttp.TCPConnector(keepalive_timeout=_IDLE)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as client:
                yield client
        finally:
            over.set()
            started.cancel()
            await asyncio.gather(server, started, return_exceptions=True)
        await server
        lifespan.raise_failure()


class _Lifespan:
    """Remembers what the lifespan raised: uvicorn would only log it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._failure: Exception | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            return await self._app(scope, receive, send)
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
