"""The server: uvicorn, set up once for all services. Next: `entry.py` is how a service's process begins."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn

from cortex_core.asgi.types import ASGIApp
from cortex_core.chassis.drain import ClosingConnections, Drain
from cortex_core.chassis.early_signals import ENDING
from cortex_core.chassis.http_protocol import HttpProtocol
from cortex_core.chassis.websocket import WebSocketProtocol

BACKLOG: Final = 2048  # connections that wait to be accepted


class CortexHttpServer:
    """One ASGI application on one port. `await listen()` returns when it has drained after `close()` or a signal.

    uvicorn with uvloop and httptools, HTTP by `http_protocol.py` or a subclass (`protocol`), WebSockets by
    `websocket.py`. At SIGTERM `drain` begins; `drain_delay` seconds later (at once after a second signal, or SIGINT) it
    stops accepting, lets requests in progress end for `shutdown_grace` seconds, and closes what is left.

    `listener`: a socket that listens already, instead of `host` and `port`. `on_ready` is called when requests are
    served. `signals=False`: a second server in a process leaves them to the first. `lifespan=False`: the application
    has none. Raises OSError where the port is taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        listener: socket.socket | None = None,
        shutdown_grace: float = 3.0,
        drain: Drain | None = None,
        drain_delay: float = 0.0,
        on_ready: Callable[[], None] = lambda: None,
        signals: bool = True,
        lifespan: bool = True,
        protocol: type[HttpProtocol] = HttpProtocol,
    ) -> None:
        self._socket = bind(host, port) if listener is None else listener
        drain = drain or Drain()
        self._server = _Server(
            uvicorn.Config(
                ClosingConnections(app, drain),
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
            ),
            drain=drain,
            delay=drain_delay,
            on_ready=on_ready,
            signals=signals,
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
        """Asks `listen` to stop accepting, drain and return."""
        self._server.should_exit = True

    def terminate(self) -> None:
        """What SIGTERM does: `drain` begins, and after its delay `close` is called."""
        self._server.terminate()

    def run(self, early: Sequence[int] = ()) -> bool:
        """Listens in an event loop of its own until SIGTERM or SIGINT has drained it. False where one came before that
        loop, or is among `early`: then nothing was opened."""
        hear = self._server.handle_exit  # uvicorn's handlers come later and go sooner; they are the same function
        for number in ENDING:
            signal.signal(number, hear)
        for told in early:
            hear(told, None)
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            if self._server.told:
                return False
            runner.run(self.listen())
        return True


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, *, drain: Drain, delay: float, on_ready: Callable[[], None], signals: bool
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._delay = delay
        self._on_ready = on_ready
        self._signals = signals
        self._end: float | None = None  # on the monotonic clock: when it stops accepting

    @property
    def told(self) -> bool:
        """Whether a signal, or `close`, has said that it is to end."""
        return self._end is not None or self.should_exit

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._signals:
            yield
            return
        with super().capture_signals():
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and not self.told:
            self._captured_signals.append(sig)
            self.terminate()
        else:
            super().handle_exit(sig, frame)

    def terminate(self) -> None:
        self._end = time.monotonic() + self._delay

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._end is not None:
            self._drain.begin()  # here, and not in the signal's handler: it may have interrupted anything
            self.should_exit = self.should_exit or time.monotonic() >= self._end
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain.begin()
        await super().shutdown(sockets)


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; `shared`: other processes of this user may listen there too. Raises OSError where the port is
    taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # now, not at start-up's end: a second process on this port fails at once
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener
