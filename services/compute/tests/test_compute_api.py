"""The service over HTTP, under its real server: an image in, an image out, and every way it can go wrong."""

import io
import json
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from cortex_contracts import ImageProcessed
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import eventually

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]
Oracle = Callable[[bytes], bytes]
Compute = Any  # conftest's
Start = Callable[..., Awaitable[Compute]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_an_image_comes_back_grey_in_its_own_format(
    compute: Compute, encode: Encode, colourful: Colourful, oracle: Oracle, kind: str
) -> None:
    body = encode(colourful(), kind, **({"lossless": True} if kind == "WEBP" else {}))

    status, headers, answer = await compute.post(body)

    made = Image.open(io.BytesIO(answer))
    assert (status, headers["Content-Type"], made.format) == (200, f"image/{kind.lower()}", kind)
    assert made.size == (67, 41)
    if kind != "JPEG":
        assert made.convert("RGBA").tobytes() == oracle(colourful().convert("RGBA").tobytes())
    else:
        red, green, blue = made.convert("RGB").split()
        assert red.tobytes() == green.tobytes() == blue.tobytes()


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/x-www-form-urlencoded", "text/html", "nonsense"])
async def test_what_the_sender_says_it_is_is_not_believed(
    compute: Compute, encode: Encode, colourful: Colourful, content_type: str
) -> None:
    status, headers, _ = await compute.post(encode(colourful(), "PNG"), Content_Type=content_type)

    assert (status, headers["Content-Type"]) == (200, "image/png")


async def test_what_was_done_is_announced(compute: Compute, encode: Encode, colourful: Colourful) -> None:
    await compute.post(encode(colourful(), "WEBP"), X_Cortex_Tenant="acme")

    await eventually(lambda: compute.heard)
    (event,) = compute.heard
    data = ImageProcessed.of(event.data)
    assert (event.type, event.source, event.tenant) == ("image.processed", "/compute", "acme")
    assert (data.operation, data.format, data.width, data.height) == ("grayscale", "webp", 67, 41)
    assert 0 < data.duration < 5


async def test_what_was_refused_is_not_announced(compute: Compute, encode: Encode, colourful: Colourful) -> None:
    await compute.problem(b"hello")
    await compute.post(encode(colourful(), "PNG"))

    await eventually(lambda: compute.heard)
    assert len(compute.heard) == 1


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"", 400, "image.empty", id="empty"),
        pytest.param(b"hello, this is text", 422, "image.unreadable", id="text"),
        pytest.param(png_of(30, 30), 422, "image.unreadable", id="no-pixels"),
        pytest.param(png_of(30_000, 30_000), 413, "image.too-large", id="bomb"),
        pytest.param(b"GIF89a" + bytes(100), 415, "image.unsupported-format", id="gif"),
        pytest.param(b"II*\0" + bytes(100), 415, "image.unsupported-format", id="tiff"),
        pytest.param(b"BM" + bytes(100), 415, "image.unsupported-format", id="bmp"),
    ],
)
async def test_what_cannot_be_processed_says_why(compute: Compute, body: bytes, status: int, code: str) -> None:
    problem = await compute.problem(body)

    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:cortex:problem:{code}"
    assert len(problem["traceId"]) == 32


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_truncated_image_is_unreadable(
    compute: Compute, encode: Encode, colourful: Colourful, kind: str
) -> None:
    body = encode(colourful(size=(300, 300)), kind)

    assert (await compute.problem(body[: len(body) * 3 // 4]))["code"] == "image.unreadable"


async def test_an_animated_image_is_refused(compute: Compute, encode: Encode, colourful: Colourful) -> None:
    frames = [colourful(), colourful().rotate(180)]

    problem = await compute.problem(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]))

    assert (problem["status"], problem["code"]) == (422, "image.animated")


async def test_the_limit_of_pixels_is_a_setting_and_the_answer_names_it(
    start: Start, encode: Encode, colourful: Colourful
) -> None:
    compute = await start(max_pixels=67 * 41 - 1)

    problem = await compute.problem(encode(colourful(), "PNG"))

    assert (problem["code"], problem["width"], problem["height"], problem["maxPixels"]) == (
        "image.too-large",
        67,
        41,
        67 * 41 - 1,
    )


async def test_a_body_above_its_limit_is_refused(start: Start) -> None:
    compute = await start(body_limit=1000)

    assert (await compute.problem(bytes(1001)))["code"] == "request.too-large"


async def test_an_unknown_operation_lists_the_known_and_does_not_want_the_body(compute: Compute) -> None:
    problem = await compute.problem(b"whatever", operation="sharpen")

    assert (problem["status"], problem["code"], problem["known"]) == (422, "image.unknown-operation", ["grayscale"])


async def test_an_operation_is_needed(compute: Compute) -> None:
    problem = await compute.problem(b"whatever", operation=None)

    assert (problem["status"], problem["code"]) == (422, "request.invalid")
    assert problem["errors"][0]["pointer"] == "query/operation"


async def test_a_form_is_refused_with_the_way_out(compute: Compute) -> None:
    form = aiohttp.FormData()
    form.add_field("file", png_of(3, 3), filename="a.png", content_type="image/png")
    async with compute.http.post("/compute/images?operation=grayscale", data=form) as reply:
        problem = await reply.json(content_type=None)

    assert (reply.status, problem["code"]) == (415, "image.unsupported-format")
    assert problem["supported"] == ["png", "jpeg", "webp"]


class Away(CortexError):
    code, kind = "bus.away", Kind.UNAVAILABLE


class BusThatLeaves(MemoryEventBus):
    away = False

    async def publish(self, events: Any) -> None:
        await self.check()
        await super().publish(events)

    async def check(self) -> None:
        if self.away:
            raise Away("no bus")


async def test_without_a_bus_images_are_processed_and_the_service_is_ready_but_degraded(
    start: Start, encode: Encode, colourful: Colourful
) -> None:
    compute = await start(bus=BusThatLeaves(), announcements=2)
    compute.bus.away = True

    for _ in range(5):
        assert (await compute.post(encode(colourful(), "PNG")))[0] == 200

    assert await compute.metric("cortex_hub_image_events_dropped_total ") == 3
    async with compute.http.get("/health/ready") as reply:
        report = await reply.json()
    assert (reply.status, report["status"]) == (200, "degraded")
    assert report["checks"]["event-bus"]["status"] == "down"

    compute.bus.away = False
    await eventually(lambda: len(compute.heard) == 2)  # those there was room for


async def test_the_module_is_checked_by_the_probe(compute: Compute) -> None:
    async with compute.http.get("/health/ready") as reply:
        report = await reply.json()

    assert (reply.status, report["status"]) == (200, "up")
    assert report["checks"]["wasm"]["status"] == "up"
    assert "grayscale" in report["checks"]["wasm"]["exports"]


async def test_the_document_says_what_is_taken_and_what_can_go_wrong(compute: Compute) -> None:
    async with compute.http.get("/openapi.json") as reply:
        operation = json.loads(await reply.text())["paths"]["/compute/images"]["post"]

    media = ["image/png", "image/jpeg", "image/webp"]
    assert list(operation["requestBody"]["content"]) == media
    assert list(operation["responses"]["200"]["content"]) == media
    assert set(operation["responses"]) == {"200", "400", "401", "403", "413", "415", "422", "500", "503", "504"}
    assert "image.animated" in operation["responses"]["422"]["description"]
    assert operation["parameters"][0]["schema"]["enum"] == ["grayscale"]
