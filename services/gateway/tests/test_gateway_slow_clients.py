"""Slow clients take no place of a service: those who ask the same service meanwhile are all served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.testing import eventually

from .express_wire import connected, service

MANY = 500
PATIENT = ConnectionLimits(keep_alive=60.0)  # else a connection that is used again may just have ended
OTHERS = 50
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
FILE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % (64 << 20)
CHUNK = b"POST %b HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A file is as long as it takes; all else is answered at once, when its body is there."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        fields = head.lower()
        if b"content-length: " in fields:
            await reader.readexactly(int(fields.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        elif b"transfer-encoding: chunked" in fields:
            await reader.readuntil(b"0\r\n\r\n")
        if b"/files/" not in head:
            writer.write(OK)
            continue
        writer.write(FILE)
        for _ in range(1024):
            writer.write(b"x" * (64 << 10))
            await writer.drain()


class Slow:
    """Clients who have begun something, and are in no hurry."""

    def __init__(self, clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        self._writers = [writer for _, writer in clients]
        self._task = asyncio.create_task(self._trickle())

    async def _trickle(self) -> None:
        while True:
            for writer in self._writers:
                if not writer.is_closing():
                    writer.write(b" ")
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def slow(client: Any, request: bytes, *, trickling: bool) -> AsyncIterator[None]:
    port = client._base_url.port
    clients = []
    for _ in range(MANY):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
        writer.write(request)
        clients.append((reader, writer))
    trickle = Slow(clients if trickling else [])
    try:
        yield
    finally:
        await trickle.end()
        for _, writer in clients:
            writer.transport.abort()


async def statuses(client: Any, method: str, path: str, body: bytes | None) -> set[int]:
    async def ask() -> int:
        async with client.request(method, path, data=body) as reply:
            await reply.read()
            return int(reply.status)

    return set(await asyncio.gather(*(ask() for _ in range(OTHERS))))


def announced(path: bytes, length: int) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: hub\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n{" % (path, length)


@pytest.mark.parametrize(
    ("name", "request_", "trickling", "method", "path"),
    [
        ("order", announced(b"/api/orders", 900_000), True, "GET", "/api/orders/ord_1"),
        ("order", announced(b"/api/orders", 900_000), True, "POST", "/api/orders"),
        ("storage", announced(b"/api/storage/files", 900_000_000), True, "GET", "/api/storage/files"),
        ("storage", announced(b"/api/storage/files", 900_000_000), True, "POST", "/api/storage/files"),
        ("storage", b"GET /api/storage/files/b HTTP/1.1\r\nHost: hub\r\n\r\n", False, "GET", "/api/storage/files"),
    ],
)
async def test_five_hundred_slow_clients_take_no_place_from_others(
    start_gateway: Any, name: str, request_: bytes, trickling: bool, method: str, path: str
) -> None:
    body = b"small" if method == "POST" else None
    async with (
        service(answering) as address,
        start_gateway(limits=PATIENT, **{name: address}) as client,
        slow(client, request_, trickling=trickling),
    ):
        async with asyncio.timeout(10):  # until the 500 have had their heads, which is the service's work
            while not trickling and await statuses(client, method, path, body) != {200}:
                pass
        for _ in range(5):
            assert await statuses(client, method, path, body) == {200}


async def test_whoever_comes_to_the_end_of_a_slow_body_is_answered(start_gateway: Any) -> None:
    async with service(answering) as address, start_gateway(order=address) as client, connected(client) as (r, w):
        w.write(announced(b"/api/orders", 4))
        for _ in range(3):
            await asyncio.sleep(0.02)
            w.write(b"x")
        assert (await asyncio.wait_for(r.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200")


async def test_a_body_without_a_length_is_gathered_too_and_then_has_one(start_gateway: Any, recorder: Any) -> None:
    upstream = recorder()
    async with start_gateway(order=upstream) as client, connected(client) as (reader, writer):
        writer.write(CHUNK % b"/api/orders" + b"2\r\n{}\r\n")
        await asyncio.sleep(0.02)
        assert not upstream.requests
        writer.write(b"1\r\n \r\n0\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200")
        await eventually(lambda: len(upstream.requests) == 1)
    assert upstream.requests[0]["body"] == b"{} "
    assert upstream.header("content-length") == ["3"]
