"""Clients that hold a connection of the gateway by what they do not send or do not read, in both lanes."""

import asyncio
import re
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits

from .express_wire import connected, head_of, whole

QUICK = ConnectionLimits(body_silence=0.3, body_grace=0.3, linger=0.2)
EXPECTING = b"POST /api/orders HTTP/1.1\r\nHost: hub\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
MANY = 150_000
LANE = re.compile(r'cortex_gateway_lane_total\{lane="(\w+)"\} ([0-9.]+)')


async def rest(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 10)


class TestExpectations:
    """Who waits for `100 Continue` is not hurried; who has been told no, or has begun without it, is."""

    async def test_who_was_refused_does_not_keep_its_connection(self, start_gateway: Any, recorder: Any) -> None:
        settings = {"rate_limit_per_minute": 1}
        async with (
            start_gateway(settings, limits=QUICK, order=recorder()) as client,
            client.post("/api/orders") as first,
            connected(client) as (reader, writer),
        ):
            assert first.status == 200
            writer.write(EXPECTING)
            assert (await head_of(reader)).startswith(b"HTTP/1.1 429 ")
            await rest(reader)

    async def test_who_sent_a_byte_with_its_head_is_hurried(
        self, start_gateway: Any, recorder: Any, redis_url: str
    ) -> None:
        """It is an address's first request: the limiter is asked, and the byte is there before it has answered."""
        settings = {"rate_limit_per_minute": 100, "rate_limit_store": "redis", "redis_url": redis_url}
        async with (
            start_gateway(settings, limits=QUICK, order=recorder()) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(EXPECTING + b"b")
            assert b"http.body-timeout" in await rest(reader)

    async def test_an_old_client_gets_no_interim_answer(self, start_gateway: Any, recorder: Any) -> None:
        async with start_gateway(order=recorder()) as client, connected(client) as (reader, writer):
            writer.write(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
            await asyncio.sleep(0.02)
            writer.write(b"body")
            assert b" 200 " in (await rest(reader)).partition(b"\r\n")[0]


class TestUnreadAnswers:
    @pytest.mark.parametrize("path", [b"/health/live", b"/api"])
    async def test_who_asks_and_asks_and_does_not_read_is_not_answered_for_ever(
        self, start_express: Any, path: bytes
    ) -> None:
        """What waits for it here is bounded, however much it asks for in one go."""
        asked = b"GET " + path + b" HTTP/1.1\r\nHost: hub\r\n\r\n"
        async with start_express() as client, connected(client, limit=1 << 10) as (_, writer):
            sent = 0

            async def sending() -> None:
                nonlocal sent
                while sent < MANY:
                    writer.write(asked * 500)
                    await writer.drain()
                    sent += 500

            task = asyncio.create_task(sending())
            async with asyncio.timeout(60):
                answered = await settled_answers(client)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.transport.abort()  # there is much that it could not send

        assert answered < MANY / 3

    async def test_who_reads_late_gets_every_answer(self, start_express: Any) -> None:
        asked, sent, pages = b"GET /api HTTP/1.1\r\nHost: hub\r\n\r\n", 0, 1
        async with start_express() as client, connected(client, limit=1 << 10) as (reader, writer):
            while (await lanes(client))["asgi"] <= pages:  # all of which are these pages
                pages += 1
                writer.write(asked * 20)
                sent += 20
            for _ in range(sent):
                assert (await whole(reader))[0] == 200

        assert sent > 1000


async def lanes(client: Any) -> dict[str, float]:
    async with client.get("/metrics") as reply:
        return {lane: float(count) for lane, count in LANE.findall(await reply.text())}


async def settled_answers(client: Any) -> float:
    seen = -1.0
    while True:
        now = sum((await lanes(client)).values())
        if 10 < now <= seen + 1:  # that one was ours
            return now
        seen = now
        await asyncio.sleep(0.05)
