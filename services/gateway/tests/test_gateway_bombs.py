"""Bodies that grow, through the gateway: 413, whatever they are made of, and nobody's memory grows with them."""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import ClassVar

import brotli
import psutil
import pytest
import zstandard
from fastapi import APIRouter, Request

from cortex_core.chassis import Config, Platform, create_app, service_config
from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving

MIB = 1 << 20
GROWN = 64


class Settings(Config):
    model_config = service_config("BEHIND_")
    service: ClassVar[str] = "behind"


@cache
def bomb(coding: str) -> bytes:
    """64 MiB of nothing in a few bytes."""
    zeros = bytes(MIB)
    if coding == "br":
        large = brotli.Compressor(quality=5, lgwin=22)
        return b"".join([*(large.process(zeros) for _ in range(GROWN)), large.finish()])
    if coding == "zstd":
        frame = zstandard.ZstdCompressor(level=3).compressobj()
        return b"".join([*(frame.compress(zeros) for _ in range(GROWN)), frame.flush()])
    stream = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    return b"".join([*(stream.compress(zeros) for _ in range(GROWN)), stream.flush()])


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("length", ["declared", "chunked"])
async def test_a_bomb_is_413(start_gateway, coding: str, length: str) -> None:  # type: ignore[no-untyped-def]
    read: list[int] = []
    router = APIRouter()

    @router.post("/orders")
    async def take(request: Request) -> dict[str, int]:
        read.append(len(await request.body()))
        return {"read": read[-1]}

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), 16_384):
            yield data[at : at + 16_384]

    data = bomb(coding)
    service = create_app(Settings(env="test"), running=running, routers=[router], bus=MemoryEventBus())
    async with serving(service) as behind, start_gateway(order=str(behind._base_url)) as client:
        before = psutil.Process().memory_info().rss
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        body = data if length == "declared" else pieces(data)
        async with client.post("/api/orders", data=body, headers=headers) as response:
            problem = await response.json()
        grown = psutil.Process().memory_info().rss - before

    assert response.status == 413
    assert problem["code"] == "request.too-large"
    assert read == []
    assert grown <= 16 * MIB + len(data)
