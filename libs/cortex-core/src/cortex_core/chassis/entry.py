"""The entry of a service's process: settings, the application, the server. A service that cannot start says why in one
line.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from fastapi import FastAPI
from pydantic import ValidationError

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.chassis.http_protocol import HttpProtocol
from cortex_core.chassis.server import CortexHttpServer
from cortex_core.chassis.settings import Config, explain
from cortex_core.kernel.errors import CortexError
from cortex_core.observability import configure_logging

if TYPE_CHECKING:
    from cortex_core.eventsourcing import Projection

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78  # sysexits.h

SomeConfig = TypeVar("SomeConfig", bound=Config)


def serve(
    build: Callable[[SomeConfig], FastAPI],
    settings_class: type[SomeConfig],
    *,
    migrations: Sequence[Path] = (),
    projections: "Sequence[Projection[Any]]" = (),
    protocol: Callable[[FastAPI], type[HttpProtocol]] = lambda _: HttpProtocol,
) -> None:
    """A service's `main`: reads the settings, listens, and ends when told to. Exits 78 where the settings are wrong, 69
    where something needed to start is not there, each with one line that says what to do. With the words `db upgrade`
    it brings the database to the newest of `migrations` instead, and ends; with `projections …` it looks after those of
    its `projections` (see `projection_verbs.py`). `protocol` chooses the class of its connections."""
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
            started,
            host=settings.host,
            port=settings.port,
            shutdown_grace=settings.shutdown_grace,
            protocol=protocol(app),
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
