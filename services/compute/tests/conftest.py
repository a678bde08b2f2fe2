"""What the tests of compute share: the oracle, files to send, and the service under its real server."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from PIL import Image

from cortex_compute.adapters import kernels
from cortex_compute.settings import Settings
from cortex_compute.wiring import build
from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.testing import serving

# At import, for modules have kernels of their own: a machine that stands still for 0.2 s is not what they are about.
kernels._LIMITS = replace(kernels._LIMITS, deadline=60.0)  # type: ignore[misc]

Oracle = Callable[[bytes], bytes]
Encode = Callable[..., bytes]


def grey(rgba: bytes) -> bytes:
    """ITU-R BT.601 luma in pure Python, from the definition in image.c's comment and nothing else of it."""
    out = bytearray(rgba)
    for at in range(0, len(rgba), 4):
        red, green, blue = rgba[at : at + 3]
        out[at : at + 3] = bytes([(19595 * red + 38470 * green + 7471 * blue + 32768) // 65536]) * 3
    return bytes(out)


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return grey


@pytest.fixture(scope="session")
def encode() -> Encode:
    """`encode(image, "PNG", **options)`: the file's bytes."""

    def encoded(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002 - Pillow's word
        out = io.BytesIO()
        image.save(out, format, **options)
        return out.getvalue()

    return encoded


@pytest.fixture(scope="session")
def colourful() -> Callable[..., Image.Image]:
    """An image of `mode` with every pixel different from its neighbours, and sharp and smooth parts."""

    def made(mode: str = "RGB", size: tuple[int, int] = (67, 41)) -> Image.Image:
        width, height = size
        data = bytes(
            value & 255
            for y in range(height)
            for x in range(width)
            for value in (x * 7 + y, x * x + y * 3, 255 - x * 2 + y * y, x * 5 + y * 11)
        )
        image = Image.frombytes("RGBA", size, data)
        return image.convert(mode) if "A" in mode else image.convert("RGB").convert(mode)

    return made


@dataclass
class Compute:
    """The running service, and the bus it publishes on."""

    http: aiohttp.ClientSession
    bus: MemoryEventBus
    heard: list[CloudEvent] = field(default_factory=list)

    async def post(
        self, body: bytes, operation: str | None = "grayscale", **headers: str
    ) -> tuple[int, aiohttp.typedefs.LooseHeaders, bytes]:
        params = {} if operation is None else {"operation": operation}
        sent = {"Content-Type": "image/png"} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post("/compute/images", params=params, data=body, headers=sent) as reply:
            return reply.status, reply.headers, await reply.read()

    async def problem(self, body: bytes, operation: str | None = "grayscale", **headers: str) -> dict[str, Any]:
        params = {} if operation is None else {"operation": operation}
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post("/compute/images", params=params, data=body, headers=sent) as reply:
            assert reply.content_type == "application/problem+json"
            told: dict[str, Any] = await reply.json(content_type=None)
            assert told["status"] == reply.status
            return told | {"headers": dict(reply.headers)}

    async def metric(self, line: str) -> float:
        """The value on the line of /metrics that begins with `line`."""
        async with self.http.get("/metrics") as reply:
            found = [each for each in (await reply.text()).splitlines() if each.startswith(line)]
        assert len(found) == 1, (line, found)
        return float(found[0].rpartition(" ")[2])


Start = Callable[..., Awaitable[Compute]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(work=…, bus=…, workers=1, …)`: the service with these fakes and settings; ended with the test."""
    async with AsyncExitStack() as stack:

        async def started(
            *, work: Callable[..., Any] | None = None, bus: MemoryEventBus | None = None, **settings: Any
        ) -> Compute:
            bus = bus or MemoryEventBus()
            app = build(Settings(env="test", tenants=frozenset({"public", "acme"}), **settings), bus=bus, work=work)
            compute = Compute(await stack.enter_async_context(serving(app)), bus)

            async def hear(event: CloudEvent) -> None:
                compute.heard.append(event)

            await bus.subscribe(["image"], hear)
            return compute

        yield started


@pytest.fixture
async def compute(start: Start) -> Compute:
    return await start()
