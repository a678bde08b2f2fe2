"""Five hundred sockets that are held, in three ways, and fifty clients that want something meanwhile.

The server is a process of its own, so that its memory is its own and whoever holds the sockets cannot slow it down.
`make reliability` runs it with the real deadlines, `make test` with a tenth of them and fewer sockets.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from cortex_core.testing import assert_bound, free_port
from cortex_core.testing.hostile.entries import get, post
from cortex_core.testing.hostile.wire import parsed

REAL = os.environ.get("CORTEX_BOUNDS") == "1"
SCALE = 1.0 if REAL else 0.1
HELD = 500 if REAL else 90
SLACK = 2.0
MIB = 1 << 20

SERVER = """
import sys
from cortex_core.chassis import ConnectionLimits, CortexHttpServer, HttpProtocol, guarded
from cortex_core.testing.hostile import Recorder

scale, port = float(sys.argv[1]), int(sys.argv[2])
limits = ConnectionLimits(
    head_timeout=10 * scale, body_silence=10 * scale, body_grace=8 * scale, linger=2 * scale
)
CortexHttpServer(Recorder(), port=port, protocol=guarded(HttpProtocol, limits)).run()
"""

KINDS = {
    "head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", 408),
    "body": (post(b"Content-Length: 1000000"), b"a", 408),
    "chunks": (post(b"Transfer-Encoding: chunked"), b"1\r\nx\r\n", 408),
    "silence": (b"", b"", None),
    "silence within a head": (b"GET / HT", b"", 408),
}


@contextmanager
def server(tmp_path: Path) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    path = tmp_path / "held.py"
    path.write_text(SERVER)
    process = subprocess.Popen([sys.executable, str(path), str(SCALE), str(port)])
    try:
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


async def answering(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def held(port: int, kind: str) -> tuple[str, float, int | None]:
    """Holds a socket for as long as it is left. How long that was, and the status of what came at its end."""
    begin, drop, _ = KINDS[kind]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(begin)

    async def trickle() -> None:
        while drop and not writer.is_closing():
            writer.write(drop)
            await asyncio.sleep(SCALE * 0.5)

    trickling = asyncio.create_task(trickle())
    try:
        got = await reader.read()
    except ConnectionError:
        got = b""
    taken = time.monotonic() - began
    trickling.cancel()
    writer.close()
    answers = parsed(got, whole=True)
    return kind, taken, answers[0].status if answers else None


async def good(port: int, until: asyncio.Event) -> list[int]:
    statuses = []
    async with aiohttp.ClientSession() as http:
        while not until.is_set():
            async with http.get(f"http://127.0.0.1:{port}/") as response:
                statuses.append(response.status)
            await asyncio.sleep(0.05)
    return statuses


@pytest.mark.bound
async def test_five_hundred_held_sockets_are_cut_and_fifty_clients_served(tmp_path: Path) -> None:
    kinds = list(KINDS)
    with server(tmp_path) as (port, _):
        await answering(port)
        over = asyncio.Event()
        clients = [asyncio.create_task(good(port, over)) for _ in range(50 if REAL else 5)]
        cut = await asyncio.gather(*(held(port, kinds[index % len(kinds)]) for index in range(HELD)))
        over.set()
        served = [status for each in await asyncio.gather(*clients) for status in each]

    assert {(kind, status) for kind, _, status in cut} == {(kind, KINDS[kind][2]) for kind in kinds}
    assert set(served) == {200}
    assert len(served) > len(clients)
    assert min(taken for _, taken, _ in cut) > 5 * SCALE  # by a deadline, and not by an accident
    print(f"{HELD} sockets: the last was cut after {max(taken for _, taken, _ in cut):.2f} s")  # noqa: T201
    assert_bound(max(taken for _, taken, _ in cut), 10.0 + SLACK)


async def test_many_large_heads_are_held_in_bounded_memory(tmp_path: Path) -> None:
    count = HELD
    head = get()[:-2] + b"X: " + b"a" * (31 * 1024)
    with server(tmp_path) as (port, process):
        await answering(port)
        before = process.memory_info().rss
        sockets = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
        for _, writer in sockets:
            writer.write(head)
            await writer.drain()
        most = 0
        for _ in range(20):
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.01)
        for _, writer in sockets:
            writer.close()

    assert most - before <= count * 4 * 32 * 1024 + 16 * MIB
