"""An exporter: metrics on a port of their own. The analytics service has one where the plan's Prometheus looks for it
(9090); the gateway has one where its own port is the world's.

Answers `GET /metrics`, `GET /health` where it is told how, and nothing else. It is a second server in this
process: the signals stay with the first.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

from cortex_core.chassis.server import CortexHttpServer, bind
from cortex_core.kernel import CortexError, Kind
from cortex_core.observability import PROMETHEUS_CONTENT_TYPE, Logger

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


class ExporterPortTaken(CortexError):
    """The exporter cannot listen where it was told to."""

    code, kind = "exporter.port-taken", Kind.UNAVAILABLE

    def __init__(self, host: str, port: int, variable: str, error: OSError) -> None:
        super().__init__(
            f"the Prometheus exporter cannot listen on {host}:{port}: {os.strerror(error.errno or 0)};"
            f" set {variable} (0 is none)"
        )


@asynccontextmanager
async def exporting(
    metrics: Callable[[], Awaitable[str]],
    *,
    host: str,
    port: int,
    variable: str,
    logger: Logger,
    shared: bool = False,
    health: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """While the block runs, `metrics()`, and the report `health()`, are served on `host:port`, `shared` with other
    workers or not; `variable` is where that is said. Yields a check that fails where it is not.

    Raises ExporterPortTaken.
    """
    try:
        listener = bind(host, port, shared=shared)
    except OSError as error:
        raise ExporterPortTaken(host, port, variable, error) from error
    server = CortexHttpServer(
        _application(metrics, health, logger), listener=listener, shutdown_grace=1.0, signals=False, lifespan=False
    )
    serving = asyncio.create_task(server.listen(), name="exporter")

    async def check() -> None:
        if serving.done():
            raise CortexError("the Prometheus exporter has ended")

    try:
        yield check
    finally:
        server.close()
        await serving


def _application(
    metrics: Callable[[], Awaitable[str]], health: Callable[[], Awaitable[Mapping[str, Any]]] | None, logger: Logger
) -> Any:
    here = "/metrics is" if health is None else "/metrics and /health are"

    async def application(scope: Scope, receive: object, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        status, content_type, body = await answer(scope["method"], scope["path"])
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def answer(method: str, path: str) -> tuple[int, str, bytes]:
        if path != "/metrics" and (path != "/health" or health is None):
            return 404, _TEXT, f"only {here} here\n".encode()
        if method not in {"GET", "HEAD"}:
            return 405, _TEXT, b"only GET is answered here\n"
        try:
            if path == "/health" and health is not None:
                return 200, _JSON, json.dumps(await health()).encode()
            return 200, PROMETHEUS_CONTENT_TYPE, (await metrics()).encode()
        except Exception as error:  # a scraper gets an answer whatever happens, and the log has the story
            logger.exception("scrape failed", error=type(error).__name__)
            return 500, _TEXT, b"something went wrong here; the log has the story\n"

    return application
