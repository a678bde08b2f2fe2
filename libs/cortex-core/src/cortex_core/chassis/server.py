"""The server: uvicorn, set up once for all services. Next: `entry.py` is how a service's process begins."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from cortex_core.asgi.types import ASGIApp
from cortex_core.chassis.http_protocol import HttpProtocol
from cortex_core.chassis.websocket import WebSocketProtocol


class CortexHttpServer:
    """One ASGI application on one port. `await listen()` returns when it has drained after `close()` or a signal.

    uvicorn with uvloop and httptools, HTTP by `http_protocol.py` or a subclass (`protocol`), WebSockets by
    `websocket.py`. At SIGTERM it stops accepting, lets requests in progress end for `shutdown_grace` seconds, closes
    what is left. `signals=False`: a second server in a process leaves them to the first. `lifespan=False`: the
    application has none. Raises OSError where the port is taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        shutdown_grace: float = 3.0,
        signals: bool = True,
        lifespan: bool = True,
        protocol: type[HttpProtocol] = HttpProtocol,
    ) -> None:
        self._socket = bind(host, port)
        self._server = (uvicorn.Server if signals else _WithoutSignals)(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=protocol,
                ws=WebSocketProtocol,
                ws_max_size=1 << 20,
                lifespan="on" if lifespan else "off",
                log_config=None,
                log_level="warning",  # its own news are ours already, and a socket's line would show the query
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, round(shutdown_grace)),
            )
        )

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def started(self) -> bool:
        return self._server.started

    async def listen(self) -> None:
        await self._server.serve(sockets=[self._socket])

    def close(self) -> None:
        """Asks `listen` to drain and return."""
        self._server.should_exit = True

    def run(self) -> None:
        """Listens in an event loop of its own until SIGTERM or SIGINT has drained it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _already_drained)
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self.listen())


class _WithoutSignals(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _already_drained(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal again once it has drained. By then there is nothing left to do but return: exit 0."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)  # now, not at start-up's end: a second process on this port fails at once
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener
