"""What the contract of `ports.Carrier` is tested with: a server that does what the test says, and one who hears."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from cortex_core.kernel import CortexError
from cortex_gateway.ports import Carrier, Departure, Head
from cortex_gateway.routes import Service

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Open = Callable[..., AbstractAsyncContextManager[Carrier]]


class Hearing:
    """A receiver that remembers what it hears, in order."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.parts: list[bytes] = []
        self.error: CortexError | None = None
        self.heard: list[str] = []
        self.over = asyncio.Event()
        self.holding = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def answered(self, head: Head) -> None:
        assert not self.over.is_set()
        self.heard.append("answered")
        self.head = head

    def received(self, data: bytes) -> None:
        assert data
        assert self.head is not None
        assert not self.over.is_set()
        self.heard.append("received")
        self.parts.append(data)

    def completed(self) -> None:
        assert self.head is not None
        assert not self.over.is_set()
        self.heard.append("completed")
        self.over.set()

    def arrived(self, head: Head, body: bytes) -> None:
        self.answered(head)
        if body:
            self.received(body)
        self.completed()

    def failed(self, error: CortexError) -> None:
        assert not self.over.is_set()
        self.heard.append("failed")
        self.error = error
        self.over.set()

    def hold_body(self) -> None:
        assert not self.holding
        self.holding = True
        self.heard.append("hold")

    def go_on(self) -> None:
        assert self.holding
        self.holding = False
        self.heard.append("go on")


def departure(**given: Any) -> Departure:
    told: dict[str, Any] = {"method": b"GET", "target": b"/orders", "fields": b"x-a: 1\r\n", "length": 0}
    return Departure(**{"service": Service.ORDER, "timeout": 5.0, **told, **given})


@asynccontextmanager
async def serving_raw(script: Script) -> AsyncIterator[str]:
    """A server whose every connection runs `script`; they end with the block."""
    running: set[asyncio.Task[Any]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(reader, writer)
        writer.close()
        running.discard(task)

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def replying(*replies: bytes) -> Script:
    """One answer after another on a connection, and then it hangs up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()

    return script


async def for_ever() -> None:
    await asyncio.Event().wait()


async def carry(carrier: Carrier, body: bytes = b"", **given: Any) -> Hearing:
    """A request whose body is all there, to its end."""
    hearing = Hearing()
    carrier.begin(departure(**given), body, hearing)
    assert hearing.heard in ([], ["hold"])
    await asyncio.wait_for(hearing.over.wait(), 10)
    return hearing


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kept: 1\r\n\r\n"
    b"3;name=value\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: gone\r\n\r\n"
)
