"""Starts the service in this process, sends it the bomb named on the command line, and prints what came of it as JSON.

A process of its own: the peak of its memory is the service's, not the other tests'.
"""

import asyncio
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import aiohttp

from cortex_compute.settings import Settings
from cortex_compute.wiring import build
from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving

MIB = 1 << 20
FOUR_BYTES = zlib.compress(bytes(5))  # one pixel: the row's filter and four channels


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(length: int) -> bytes:
    """`length` zero bytes, compressed a thousandfold, never whole in memory."""
    deflate = zlib.compressobj(9)
    return b"".join([*(deflate.compress(bytes(MIB // 16)) for _ in range(length * 16 // MIB)), deflate.flush()])


def png(width: int, height: int, *chunks: bytes, data: bytes = FOUR_BYTES) -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", ihdr), *chunks, chunk(b"IDAT", data), chunk(b"IEND")])


def jpeg(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + bytes(10) + b"\xff\xda\0\2"


def webp(kind: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: png(30_000, 30_000, data=zeros(64 * MIB)),
    "jpeg": lambda: jpeg(60_000, 60_000),
    "webp": lambda: webp(b"VP8L", b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(20)),
    "webp-canvas": lambda: webp(b"VP8X", bytes(4) + b"\xfe\xff\xff" * 2),
    "text": lambda: png(1, 1, *[chunk(b"zTXt", b"%d\0\0" % each + zeros(MIB // 16 * 15)) for each in range(60)]),
    "text-of-gigabytes": lambda: png(1, 1, chunk(b"zTXt", b"a\0\0" + zeros(1024 * MIB))),
    "profile": lambda: png(1, 1, *[chunk(b"iCCP", b"a\0\0" + zeros(256 * MIB))] * 2),
    "too-many-pixels": lambda: png(100, 100, data=zeros(256 * MIB)),
}


def peak() -> int:
    """Bytes resident at most so far. Not `ru_maxrss`: that remembers the process this one was forked from."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def post(client: aiohttp.ClientSession, body: bytes) -> int:
    async with client.post("/compute/images?operation=grayscale", data=body) as reply:
        await reply.read()
        return reply.status


async def main(name: str) -> None:
    body = BOMBS[name]()
    async with serving(build(Settings(env="test"), bus=MemoryEventBus())) as client:
        for _ in range(5):  # what the first requests load, and a body's own size, are not the bomb's
            await post(client, png(1, 1))
            await post(client, bytes(len(body)))
        before = peak()
        status = await post(client, body)
    sys.stdout.write(json.dumps({"status": status, "grown": peak() - before, "size": len(body)}) + "\n")


asyncio.run(main(sys.argv[1]))
