"""The entry of a service's process: settings, the application, the server. A service that cannot start says why in one
line.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from fastapi import FastAPI
from pydantic import ValidationError

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.chassis.connection_reporter import ConnectionReporter
from cortex_core.chassis.early_signals import TOLD_EARLY, EarlySignals
from cortex_core.chassis.explaining import explain, with_its_variable
from cortex_core.chassis.http_protocol import HttpProtocol, guarded
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.server import CortexHttpServer, bind
from cortex_core.chassis.settings import Config
from cortex_core.kernel.errors import CortexError
from cortex_core.observability import Logger, configure_logging

if TYPE_CHECKING:
    from cortex_core.chassis.workers import Place
    from cortex_core.eventsourcing import Projection

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78  # sysexits.h

_HELP: Final = frozenset({"-h", "--help"})
_MARGIN: Final = 2.0  # seconds that a worker may take for what it closes after its requests

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
    its `projections` (see `projection_verbs.py`); neither asks for more than the database's URL. With `events …` it
    looks into the bus (see `event_verbs.py`). With `--workers N` it is that many processes; `--help`, anywhere, tells
    all this. `protocol` chooses the class of its connections."""
    words = sys.argv[1:]
    if not _HELP.isdisjoint(words):
        raise SystemExit(_help(settings_class, has_tables=bool(migrations), has_projections=bool(projections)))
    told: dict[str, Any] = {}
    if words and not _is_command(words):
        told["server_workers"] = _workers_wanted(settings_class.service, words)
    early = EarlySignals()
    try:
        if _is_command(words):
            raise SystemExit(_command(settings_class, words, migrations, projections))
        early.listen()
        settings = settings_class(**told)
    except ValidationError as error:
        fail(settings_class.service, EX_CONFIG, *explain(error, settings_class))
    configure_logging(service=settings.service, level=settings.log_level)
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        variable = settings_class.variable("port")
        fail(
            settings.service,
            EX_UNAVAILABLE,
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set {variable}",
        )
    process = _Process(build, settings, protocol, listener)
    if settings.server_workers == 1:
        raise SystemExit(process.serve(early))
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"cortex-{settings.service}-")
    except OSError:
        fail(settings.service, EX_UNAVAILABLE, "workers need a temporary folder for their figures: mount one at /tmp")
    with folder as name:
        status = _supervised(process, Path(name), early)
    raise SystemExit(status)


class _Process(Generic[SomeConfig]):
    """What one process of the service does, once the port is ours."""

    def __init__(
        self,
        build: Callable[[SomeConfig], FastAPI],
        settings: SomeConfig,
        protocol: Callable[[FastAPI], type[HttpProtocol]],
        listener: socket.socket,
    ) -> None:
        self.build = build
        self.settings = settings
        self.protocol = protocol
        self.listener = listener

    def serve(self, early: EarlySignals, place: "Place | None" = None) -> int:
        """Its exit status, once it has drained."""
        settings = self.settings
        gc.disable()  # what is made while starting stays for ever: collecting in between finds nothing
        app = self.build(settings)
        gc.enable()
        gc.freeze()
        started = _Started(app, partial(with_its_variable, settings), lifeline=place.lifeline if place else None)
        server = CortexHttpServer(
            started,
            listener=self.listener,
            shutdown_grace=settings.shutdown_grace,
            drain=app.state.platform.drain,
            drain_delay=settings.draining_seconds,
            on_ready=place.ready if place else lambda: None,
            protocol=_guarded(self.protocol(app), app, settings),
        )
        started.orphaned = server.terminate
        try:
            if not server.run(early.numbers):
                Logger.get(settings.service).info(TOLD_EARLY)
        except SystemExit:
            if started.failure is None:
                raise
            fail(settings.service, EX_UNAVAILABLE, started.failure)
        return 0


def _supervised(process: _Process[Any], folder: Path, early: EarlySignals) -> int:
    from cortex_core.chassis.workers import Workers
    from cortex_core.observability.metrics_of_workers import count_death, found_metrics, leave_metrics, share_metrics

    def work(place: "Place") -> int:
        share_metrics(folder, place.number)
        return process.serve(place.early, place)

    settings = process.settings
    logger = Logger.get(settings.service)
    grace = settings.draining_seconds + settings.shutdown_grace + _MARGIN
    found_metrics(folder)
    return Workers(
        settings.server_workers,
        work,
        grace,
        logger,
        on_last=process.listener.close,  # each worker has its own; with ours the kernel would go on taking connections
        on_end=partial(leave_metrics, folder),
        on_death=partial(count_death, folder),
    ).run(early.numbers)


def _is_command(words: Sequence[str]) -> bool:
    return bool(words) and words[0] != "--workers" and not words[0].startswith("--workers=")


def _workers_wanted(service: str, words: Sequence[str]) -> int:
    """What `--workers N`, or `--workers=N`, says: it is stronger than the setting."""
    _, _, joined = words[0].partition("=")
    value = joined or "".join(words[1:2])
    alone = len(words) == (1 if joined else 2)
    if not alone or not (value.isascii() and value.isdigit() and 1 <= int(value) <= 64):
        fail(service, EX_USAGE, "--workers takes a number from 1 to 64, and nothing comes after it")
    return int(value)


def _guarded(protocol: type[HttpProtocol], app: FastAPI, settings: Config) -> type[HttpProtocol]:
    platform: Platform = app.state.platform
    return guarded(protocol, settings.connection_limits, ConnectionReporter(platform.metrics, platform.logger))


def _command(
    settings: type[Config], words: list[str], migrations: Sequence[Path], projections: "Sequence[Projection[Any]]"
) -> int:
    """Raises ValidationError."""
    service = settings.service
    configure_logging(service=service, level="warning")
    match words:
        case ["db", "upgrade", *rest] if migrations:
            from cortex_core.chassis.data_settings import database_url
            from cortex_core.chassis.schema import seconds_to_wait, upgrade_database

            wait = seconds_to_wait(rest)
            if wait is None:
                fail(service, EX_USAGE, "`db upgrade` takes --wait SECONDS, from 0 to 3600, and nothing else")
            return upgrade_database(service, database_url(settings), migrations, wait=wait)
        case ["projections", *rest] if projections:
            from cortex_core.chassis.data_settings import database_url
            from cortex_core.chassis.projection_verbs import run_projections

            return run_projections(service, database_url(settings), projections, rest)
        case ["events", *rest]:
            from cortex_core.chassis.event_verbs import run_events

            return run_events(settings(), rest)
    fail(service, EX_USAGE, f"{' '.join(words)!r} is no command; --help tells what is")


def _help(settings: type[Config], *, has_tables: bool, has_projections: bool) -> int:
    from cortex_core.chassis.usage import usage

    commands = ["db upgrade [--wait SECONDS]"] if has_tables else []
    commands += ["projections status | rebuild NAME | abandon NAME"] if has_projections else []
    commands += ["events groups | dead-letters list, replay, drop"]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` is no error
    print(usage(settings, commands))  # noqa: T201 - a command's answer
    return 0


def fail(service: str, status: int, *lines: str) -> NoReturn:
    """The lines on standard error, each behind the service's name, and the process ends."""
    for line in lines:
        print(f"{service}: {line}", file=sys.stderr)  # noqa: T201 - a process that cannot start has no logger yet
    raise SystemExit(status)


class _Started:
    """Keeps a start-up that failed for a known reason from printing a traceback: the reason is the message."""

    def __init__(self, app: ASGIApp, named: Callable[[Exception], str], lifeline: int | None = None) -> None:
        self.app = app
        self.named = named
        self.failure: str | None = None
        self.lifeline = lifeline
        self.orphaned: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await self.app(scope, receive, send)

        if self.lifeline is not None:
            self._watch(self.lifeline)
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
            self.failure = self.named(error)
            logging.getLogger("uvicorn.error").disabled = True  # it would say the same, in two lines more
            await send({"type": "lifespan.startup.failed"})

    def _watch(self, lifeline: int) -> None:
        """A worker whose parent is gone has nobody who would end it."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(lifeline)
            self.orphaned()

        loop.add_reader(lifeline, gone)
