"""Requests one after the other on one connection."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from .express_wire import connected

Ask = Callable[..., Any]
LIST: Final = b"GET /api/storage/files HTTP/1.1\r\nHost: hub\r\n"
_VARIES: Final = re.compile(rb"(?im)^(date|x-request-id|x-ratelimit-reset|x-ratelimit-remaining|ratelimit): .*\r\n")
_TRACE: Final = re.compile(rb'"(?:traceId|requestId)":"[^"]*"')


@asynccontextmanager
async def asking(client: Any) -> AsyncIterator[Ask]:
    """Asks on one connection, one thing after the other: head (without what always varies) and body of each answer."""
    async with connected(client) as (reader, writer):

        async def ask(request: bytes) -> tuple[bytes, bytes]:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length: (\d+)", head)
            bodiless = request.startswith(b"HEAD") or head[9:12] in {b"204", b"304"}
            if b"transfer-encoding: chunked" in head.lower() and not bodiless:
                body = await reader.readuntil(b"0\r\n\r\n")
            else:
                body = await reader.readexactly(0 if bodiless or not length else int(length[1]))
            return _VARIES.sub(b"", head), _TRACE.sub(b"", body)

        yield ask
