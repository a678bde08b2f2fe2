"""The service while much is asked of it, and when who asked leaves."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from cortex_compute.adapters.processor import Job
from cortex_compute.domain import ImageFormat, Operation, ProcessedImage
from cortex_core.kernel import CortexError
from cortex_core.testing import assert_bound, eventually

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]
Compute = Any  # conftest's
Start = Callable[..., Awaitable[Compute]]


class Slow:
    """Work that does not end before it is let to, or is abandoned."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun: list[Job] = []
        self.ended: list[str] = []

    def __call__(self, job: Job) -> ProcessedImage:
        self.begun.append(job)
        try:
            while not self.open.wait(0.005):
                job.refuse_abandoned()
        except CortexError as error:
            self.ended.append(error.code)
            raise
        self.ended.append("done")
        return ProcessedImage(Operation.GRAYSCALE, ImageFormat.PNG, 1, 1, 0.1, b"made")


@pytest.mark.bound
async def test_too_many_at_once_are_turned_away_and_come_again(start: Start, encode: Encode) -> None:
    slow = Slow()
    compute = await start(work=slow, workers=1, queue=1)
    body = encode(Image.new("RGB", (1, 1)), "PNG")
    accepted = [asyncio.create_task(compute.post(body)) for _ in range(2)]
    await eventually(lambda: compute.metric("cortex_hub_image_queue_depth "))

    began = time.monotonic()
    problem = await compute.problem(body)

    assert_bound(time.monotonic() - began, 1)
    assert (problem["status"], problem["code"]) == (503, "compute.overloaded")
    assert problem["headers"]["Retry-After"] == "1"
    slow.open.set()
    assert [(await task)[2] for task in accepted] == [b"made", b"made"]
    assert (await compute.post(body))[0] == 200
    assert await compute.metric("cortex_hub_image_queue_depth ") == 0


async def test_a_client_that_leaves_gives_its_place_back(start: Start, encode: Encode) -> None:
    slow = Slow()
    compute = await start(work=slow, workers=1, queue=0)
    body = encode(Image.new("RGB", (1, 1)), "PNG")
    async with aiohttp.ClientSession(compute.http._base_url) as impatient:
        request = asyncio.create_task(impatient.post("/compute/images?operation=grayscale", data=body))
        await eventually(lambda: slow.begun)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)

    await eventually(lambda: slow.ended == ["compute.abandoned"])
    slow.open.set()
    assert (await compute.post(body))[0] == 200


async def test_a_client_that_leaves_while_sending_is_no_error(start: Start, encode: Encode) -> None:
    compute = await start()
    host, port = compute.http._base_url.host, compute.http._base_url.port
    _, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /compute/images?operation=grayscale HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()

    line = 'cortex_hub_http_requests_total{method="POST",route="/compute/images",service="compute",status="499"}'
    await eventually(lambda: compute.metric(line))


@pytest.mark.bound
async def test_the_process_answers_others_while_it_works(start: Start, encode: Encode, colourful: Colourful) -> None:
    compute = await start(workers=1)
    body = encode(colourful(size=(500, 500)).resize((3000, 3000)), "WEBP", method=0)
    work = asyncio.create_task(compute.post(body))

    slowest, answers = 0.0, 0
    while not work.done():
        began = time.monotonic()
        async with compute.http.get("/health/live") as reply:
            assert reply.status == 200
        slowest, answers = max(slowest, time.monotonic() - began), answers + 1

    assert (await work)[0] == 200
    assert answers >= 10
    assert_bound(slowest, 0.5)


async def test_a_request_whose_deadline_has_passed_is_not_worked_on(
    start: Start, encode: Encode, colourful: Colourful
) -> None:
    compute = await start()

    problem = await compute.problem(encode(colourful(), "PNG"), X_Request_Deadline="0")

    assert (problem["status"], problem["code"]) == (504, "deadline.exceeded")


async def test_the_time_it_took_is_measured_by_operation(
    compute: Compute, encode: Encode, colourful: Colourful
) -> None:
    await compute.post(encode(colourful(), "PNG"))

    counted = 'cortex_hub_image_processing_seconds_count{operation="grayscale"}'
    await eventually(lambda: compute.metric(counted))
    assert await compute.metric(counted) == 1
