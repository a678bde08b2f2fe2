"""The server entry: uvicorn, set up once for all services. A service that cannot start says why in one line."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.chassis.settings import Config, explain
from cortex_core.chassis.websocket import WebSocketProtocol
from cortex_core.kernel.errors import CortexError
from cortex_core.observability import configure_logging

if TYPE_CHECKING:
    from cortex_core.eventsourcing import Projection

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78  # sysexits.h

SomeConfig = TypeVar("SomeConfig", bound=Config)


class CortexHttpServer:
    """One ASGI application on one port. `await listen()` returns when it has drained after `close()` or a signal.

    uvicorn with uvloop and httptools, WebSockets by `websocket.py`. At SIGTERM it stops accepting, lets requests in
    progress end for `shutdown_grace` seconds, and closes what is left. `signals=False`: a second server in a process
    leaves them to the first. `lifespan=False`: the application has none. Raises OSError where the port is taken.
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
    ) -> None:
        self._socket = bind(host, port)
        self._server = (uvicorn.Server if signals else _WithoutSignals)(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
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


def serve(
    build: Callable[[SomeConfig], FastAPI],
    settings_class: type[SomeConfig],
    *,
    migrations: Sequence[Path] = (),
    projections: "Sequence[Projection[Any]]" = (),
) -> None:
    """A service's `main`: reads the settings, listens, and ends when told to. Exits 78 where the settings are wrong, 69
    where something needed to start is not there, each with one line that says what to do. With the words `db upgrade`
    it brings the database to the newest of `migrations` instead, and ends; with `projections …` it looks after those of
    its `projections` (see `projection_verbs.py`)."""
    try:
        settings = settings_class()
    except ValidationError as error:
        fail(settings_class.service, EX_CONFIG, *explain(error, settings_class))
    words = sys.argv[1:]
    configure_logging(service=settings.service, level="warning" if words else settings.log_level)
    if words:
        raise SystemExit(_command(settings, words, migrations, projections))

    gc.disable()  # what is made while starting stays for ever: collecting in between finds nothing
    app = build(settings)
    gc.enable()
    gc.freeze()
    started = _Started(app)
    try:
        server = CortexHttpServer(
            started, host=settings.host, port=settings.port, shutdown_grace=settings.shutdown_grace
        )
    except OSError as error:
        variable = settings_class.variable("port")
        fail(
            settings.service,
            EX_UNAVAILABLE,
            f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}; set {variable}",
        )
    try:
        server.run()
    except SystemExit:
        if started.failure is None:
            raise
        fail(settings.service, EX_UNAVAILABLE, started.failure)


def _command(
    settings: Config, words: list[str], migrations: Sequence[Path], projections: "Sequence[Projection[Any]]"
) -> int:
    database_url = str(getattr(settings, "database_url", ""))
    match words:
        case ["db", "upgrade"] if migrations:
            from cortex_core.chassis.schema import upgrade_database

            return upgrade_database(settings.service, database_url, migrations)
        case ["projections", *rest] if projections:
            from cortex_core.chassis.projection_verbs import run_projections

            return run_projections(settings.service, database_url, projections, rest)
    verbs = [*(["`db upgrade`"] if migrations else []), *(["`projections …`"] if projections else [])]
    known = f"{', '.join(verbs)}, or nothing to serve" if verbs else "nothing: it serves"
    fail(settings.service, EX_USAGE, f"{' '.join(words)!r} is no command; this service knows {known}")


def fail(service: str, status: int, *lines: str) -> NoReturn:
    """The lines on standard error, each behind the service's name, and the process ends."""
    for line in lines:
        print(f"{service}: {line}", file=sys.stderr)  # noqa: T201 - a process that cannot start has no logger yet
    raise SystemExit(status)


class _Started:
    """Keeps a start-up that failed for a known reason from printing a traceback: the reason is the message."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.failure: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await self.app(scope, receive, send)

        failed = False

        async def held_back(message: Message) -> None:
            nonlocal failed
            failed = message["type"] == "lifespan.startup.failed"
            if not failed:
                await send(message)

        try:
            await self.app(scope, receive, held_back)
        except (CortexError, OSError) as error:
            if not failed:
                raise
            self.failure = str(error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
