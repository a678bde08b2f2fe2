"""Compute on a real Redis: heard by others, and undisturbed by an outage."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image

from cortex_contracts import ImageProcessed
from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, assert_bound, eventually

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]
Start = Callable[..., Awaitable[Any]]


@pytest.mark.bound
async def test_a_consumer_group_hears_what_was_processed_through_an_outage(
    start: Start, redis_server: RedisServer, redis_url: str, encode: Encode, colourful: Colourful
) -> None:
    compute = await start(bus=RedisEventBus(redis_url, consumer="compute"))
    listener = RedisEventBus(redis_url, consumer="listener")
    heard: list[int] = []

    async def hear(event: CloudEvent) -> None:
        heard.append(ImageProcessed.of(event.data).width)

    await listener.consume("listeners", ["image"], hear)
    try:
        await compute.post(encode(colourful(size=(10, 5)), "PNG"))
        await eventually(lambda: heard == [10])

        redis_server.stop()
        try:
            began = time.monotonic()
            statuses = [(await compute.post(encode(colourful(size=(n, 5)), "PNG")))[0] for n in (11, 12, 13)]
            took = time.monotonic() - began
        finally:
            redis_server.start()

        assert statuses == [200, 200, 200]
        assert_bound(took, 1.0)  # one wait for Redis would be longer
        await eventually(lambda: heard == [10, 11, 12, 13])
    finally:
        await listener.aclose()
