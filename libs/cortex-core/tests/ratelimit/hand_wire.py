"""A `Wire` that a test holds in its hand. A reply is a line here."""

import asyncio
from typing import Any

from cortex_core.ratelimit.redis.pipeline import Pipeline
from cortex_core.testing import eventually


class Transport(asyncio.Transport):
    """Keeps what is written, one write an entry."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Lines:
    """A parser whose replies are lines."""

    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> None:
        if b"\xff" in data:
            raise ValueError("no such reply")
        self.data += data

    def gets(self) -> Any:
        line, end, rest = self.data.partition(b"\n")
        if not end:
            return False
        self.data = rest
        return line


class HandWire:
    """A `Wire`: each connection waits until `reachable` is set."""

    greeting = (b"hello;",)

    def __init__(self) -> None:
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.error: OSError | None = None
        self.connections: list[tuple[asyncio.Protocol, Transport]] = []

    async def connect(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        await self.reachable.wait()
        if self.error is not None:
            raise self.error
        self.connections.append((protocol, Transport(protocol)))
        return self.transport

    def parser(self) -> Lines:
        return Lines()

    @property
    def transport(self) -> Transport:
        return self.connections[-1][1]

    def answer(self, data: bytes) -> None:
        self.connections[-1][0].data_received(data)


async def opened(pipeline: Pipeline, wire: HandWire) -> None:
    """The connection stands and its greeting is answered."""
    first = asyncio.ensure_future(pipeline.ask(b"first;"))
    await eventually(lambda: wire.connections and len(wire.transport.writes) == 2)
    wire.answer(b"hi\n1\n")
    await first
    wire.transport.writes.clear()
