"""A connection to the real server within limits, and what is told of what was refused there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, RefusalDetails, guarded
from cortex_core.testing import serving

QUICK = ConnectionLimits(
    head_timeout=0.3, keep_alive=0.3, body_silence=0.3, body_grace=0.25, write_silence=0.3, linger=0.2
)


@asynccontextmanager
async def connected(
    app: Any, limits: ConnectionLimits = QUICK
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, list[RefusalDetails]]]:
    told: list[RefusalDetails] = []
    async with serving(app, protocol=guarded(HttpProtocol, limits, told.append)) as server:
        port = server._base_url.port  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer, told
        writer.close()
