"""Both ends of the gateway on the wire: services that do as a test says, and clients of bare connections."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from cortex_core.testing import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LIST = b"GET /api/storage/files HTTP/1.1\r\nHost: hub\r\n\r\n"
FILE = b"GET /api/storage/files/bafy HTTP/1.1\r\nHost: hub\r\n\r\n"
PART = bytes(range(256)) * 256  # 64 KiB
COUNT = 50 * 16  # 50 MiB
IN_FLIGHT = 30 << 20  # what sockets' buffers on four ends may hold between them

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def service(handler: Handler) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handled, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


def breaking(answer: bytes) -> Handler:
    """It says so much to the first who asks, and hangs up."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


class Silent:
    """It says nothing, and notices who leaves."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await reader.read()
        self.left.set()


@asynccontextmanager
async def connected(client: Any, **options: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)


async def whole(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A status and a body of declared length."""
    head = await head_of(reader)
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None, head
    return int(head[9:12]), await reader.readexactly(int(length[1]))


async def express(client: Any) -> float:
    async with client.get("/metrics") as reply:
        found = re.search(r'cortex_gateway_lane_total\{lane="express"\} ([0-9.]+)', await reply.text())
    return float(found[1]) if found else 0.0


async def settled(measured: Callable[[], int]) -> int:
    """What is measured when it does not grow any more."""
    await eventually(lambda: measured() > 0)
    seen, still = -1, 0
    while still < 4:
        still = still + 1 if measured() == seen else 0
        seen = measured()
        await asyncio.sleep(0.05)
    return seen
