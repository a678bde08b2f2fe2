"""One application, compressed by ours and by Starlette's GZipMiddleware. Plain ASGI: no framework's cost in between."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks import payloads

WHOLE: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "/orders": (b"application/json", payloads.orders()),
    "/page": (b"text/html; charset=utf-8", payloads.page()),
}
TEXT: Final = b"text/plain; charset=utf-8"
STREAMED: Final[Mapping[str, tuple[bytes, Sequence[bytes]]]] = {
    "/log": (TEXT, payloads.log_chunks()),
    "/rows": (b"application/x-ndjson", payloads.row_chunks()),
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The bodies above; `/endless/N` is a stream of N MiB of log."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path: str = scope["path"]
    if path in WHOLE:
        kind, body = WHOLE[path]
        length = str(len(body)).encode()
        headers = [(b"content-type", kind), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    kind, chunks = _stream(path)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _stream(path: str) -> tuple[bytes, Iterable[bytes]]:
    if not path.startswith("/endless/"):
        return STREAMED[path]
    wanted = int(path.rpartition("/")[2]) * 16  # chunks of 64 KiB
    return TEXT, itertools.islice(itertools.cycle(payloads.long_log_chunks()), wanted)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"].rpartition(".")[2]
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return


def ours() -> Any:
    from cortex_core.asgi.compression import Compression  # late: each side loads what it needs, and only that

    return Compression(app)


def starlette() -> Any:
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware(app)
