"""The service's own process under the worst images there are: what it takes stays within its budget."""

import asyncio
import io
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from cortex_compute.domain import KEPT, MIB
from cortex_core.testing import eventually, free_port

from .image_jobs import SRGB

Encode = Callable[..., bytes]
BUDGET = 160  # MiB
PROMISED = BUDGET * MIB + KEPT
SIDE = 1370  # as WebP it takes nearly all that the budget has for the work on one image
linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


def noise(mode: str, width: int = SIDE, height: int = SIDE) -> Image.Image:
    return Image.frombytes(mode, (width, height), os.urandom(width * height * len(mode)))


@pytest.fixture(scope="module")
def worst(encode: Encode) -> list[bytes]:
    """Files of each format with pixels that no encoder makes smaller, and shapes that are mostly bookkeeping."""
    return [
        encode(noise("RGBA"), "WEBP", quality=80, method=0),
        encode(noise("RGBA"), "WEBP", lossless=True, method=0, exact=True),
        encode(noise("RGBA"), "PNG", compress_level=0),
        encode(noise("RGBA"), "PNG", compress_level=0, icc_profile=SRGB),
        encode(noise("LA", 1, 900_000), "PNG", compress_level=0),
        encode(noise("RGBA", 900_000, 1), "PNG", compress_level=0, icc_profile=SRGB),
        encode(noise("CMYK"), "JPEG", progressive=True, quality=60, subsampling=0),
    ]


@asynccontextmanager
async def process(budget: int, workers: str) -> AsyncIterator[tuple[int, aiohttp.ClientSession]]:
    """The program as it is deployed, without a bus. Its id, and a client."""
    port = free_port()
    told = {
        "CORTEX_ENV": "test",
        "CORTEX_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "COMPUTE_PORT": str(port),
        "COMPUTE_WORKERS": workers,
        "COMPUTE_QUEUE": "8",
        "COMPUTE_BODY_LIMIT": str(8 * MIB),
        "COMPUTE_MEMORY_BUDGET": str(budget),
    }
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cortex_compute.main",
        env={**os.environ, **told},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

            async def alive() -> bool:
                try:
                    async with client.get("/health/live") as reply:
                        return reply.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(alive, within=60)
            yield program.pid, client
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


def peak(pid: int) -> int:
    """Bytes resident at most so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def post(client: aiohttp.ClientSession, body: bytes) -> int:
    try:
        async with client.post("/compute/images?operation=grayscale", data=io.BytesIO(body)) as reply:
            await reply.read()
            return reply.status
    except aiohttp.ClientConnectionError:  # refused, and the rest of the file not waited for
        return 503


async def flood(client: aiohttp.ClientSession, bodies: Sequence[bytes], until: float = 0.0) -> Counter[int]:
    """All at once; and again, those that found no room, until each was processed."""
    seen: Counter[int] = Counter()

    async def one(body: bytes) -> None:
        while True:
            status = await post(client, body)
            seen[status] += 1
            if status != 503 or time.monotonic() > until:
                return
            await asyncio.sleep(0.05)

    await asyncio.gather(*map(one, bodies))
    return seen


async def peak_of(
    budget: int, worst: Sequence[bytes], small: Sequence[bytes], until: float, *, workers: str = "6"
) -> tuple[int, Counter[int]]:
    async with process(budget, workers) as (pid, client):
        for body in small:
            assert await post(client, body) == 200
        seen = await flood(client, worst * 3, until)
        async with client.get("/metrics") as reply:
            text = await reply.text()
        assert "cortex_hub_image_memory_reserved_bytes 0.0" in text
        return peak(pid), seen


@pytest.fixture(scope="module")
def small(encode: Encode) -> list[bytes]:
    return [encode(noise("RGB", 9, 9), each) for each in ("PNG", "JPEG", "WEBP")]


@linux
async def test_all_slots_full_of_the_worst_images_stay_within_the_budget(
    worst: list[bytes], small: list[bytes]
) -> None:
    taken, seen = await peak_of(BUDGET, worst, small, time.monotonic() + 90)

    assert taken <= PROMISED, (taken / MIB, seen)
    assert seen.keys() <= {200, 503}
    assert seen[200] == len(worst) * 3


@linux
async def test_without_the_budget_they_take_more(worst: list[bytes], small: list[bytes]) -> None:
    """On as many threads as there are images: how many are at work at once is not left to the machine."""
    taken, _ = await peak_of(10_000, worst, small, time.monotonic() + 90, workers="21")

    assert taken > PROMISED, taken / MIB
