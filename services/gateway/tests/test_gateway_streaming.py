"""Bodies of any size pass under back-pressure, and whoever leaves first ends the other's part."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from cortex_core.testing import eventually

from .standstill import at_a_standstill

PART = bytes(range(256)) * 256  # 64 KiB
COUNT = 60 * 16  # 60 MiB
IN_FLIGHT = 30 << 20  # what sockets' buffers on four ends may hold between them; far less than all


class Source:
    """Parts of a body, and how many were asked for so far."""

    def __init__(self) -> None:
        self.taken = 0

    async def parts(self) -> AsyncIterator[bytes]:
        for _ in range(COUNT):
            self.taken += 1
            yield PART


async def settled(source: Source) -> int:
    """How much was taken when nothing more is taken."""
    return await at_a_standstill(lambda: source.taken) * len(PART)


async def test_a_large_upload_waits_for_the_service_to_read(start_gateway: Any) -> None:
    reading, digest = asyncio.Event(), hashlib.sha256()

    async def storage(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            await reading.wait()
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body"})

    source = Source()
    async with start_gateway(storage=storage) as client:
        uploading = asyncio.create_task(client.post("/api/storage/files", data=source.parts()))
        await eventually(lambda: source.taken > 0)
        assert 0 < await settled(source) < IN_FLIGHT

        reading.set()
        async with await uploading as reply:
            assert reply.status == 201

    assert digest.digest() == hashlib.sha256(PART * COUNT).digest()


async def test_a_large_download_waits_for_the_client_to_read(start_gateway: Any) -> None:
    source = Source()

    async def storage(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for part in source.parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async with start_gateway(storage=storage) as client, client.get("/api/storage/files/bafy") as reply:
        await eventually(lambda: source.taken > 0)
        assert 0 < await settled(source) < IN_FLIGHT

        digest = hashlib.sha256()
        async for part in reply.content.iter_any():
            digest.update(part)

    assert digest.digest() == hashlib.sha256(PART * COUNT).digest()


async def test_an_answer_comes_through_as_it_is_made(start_gateway: Any) -> None:
    go_on = asyncio.Event()

    async def storage(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async with start_gateway(storage=storage) as client, client.get("/api/storage/files/bafy") as reply:
        assert await reply.content.readany() == b"first"
        go_on.set()
        assert await reply.content.readany() == b"second"


async def test_an_answer_before_the_body_has_ended_is_passed_on(start_gateway: Any) -> None:
    released = asyncio.Event()

    async def storage(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 409, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    async def endless() -> AsyncIterator[bytes]:
        yield PART
        await released.wait()

    async with start_gateway(storage=storage) as client:
        async with client.post("/api/storage/files", data=endless()) as reply:
            assert (reply.status, await reply.read()) == (409, b"no")
        released.set()


class TestWhoeverLeaves:
    async def test_a_client_that_leaves_in_the_middle_of_its_upload_is_not_taken_for_a_whole_one(
        self, start_gateway: Any
    ) -> None:
        seen: list[str] = []

        async def storage(scope: Any, receive: Any, send: Any) -> None:
            while not seen or seen[-1] == "http.request":
                seen.append((await receive())["type"])

        async def half() -> AsyncIterator[bytes]:
            yield PART
            await eventually(lambda: seen)
            raise RuntimeError("the client breaks")

        async with start_gateway(storage=storage) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.post("/api/storage/files", data=half(), headers={"Content-Length": "1000000"})
            await eventually(lambda: seen[-1] == "http.disconnect")

    async def test_a_client_that_leaves_while_waiting_ends_the_services_work(self, start_gateway: Any) -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def order(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            asked.set()
            if (await receive())["type"] == "http.disconnect":
                left.set()

        async with start_gateway(order=order) as client:
            waiting = asyncio.create_task(client.get("/api/orders"))
            await asked.wait()
            waiting.cancel()
            await asyncio.wait_for(left.wait(), 5)

    async def test_a_client_that_leaves_in_the_middle_of_a_download_ends_it(self, start_gateway: Any) -> None:
        source, left = Source(), asyncio.Event()

        async def storage(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            hung_up = asyncio.create_task(receive())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            async for part in source.parts():
                await asyncio.sleep(0)  # a turn for the news: sending to who has left does not wait any more
                if hung_up.done():
                    left.set()
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})

        async with start_gateway(storage=storage) as client:
            reply = await client.get("/api/storage/files/bafy")
            await reply.content.readany()
            reply.close()
            await asyncio.wait_for(left.wait(), 5)

        assert source.taken < COUNT

    @pytest.mark.parametrize("headers", [[], [(b"content-length", b"1000000")]])
    async def test_an_answer_the_service_does_not_finish_does_not_end_well(
        self, start_gateway: Any, headers: list[tuple[bytes, bytes]]
    ) -> None:
        async def storage(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": PART, "more_body": True})
            raise BrokenPipeError("the service breaks")

        async with start_gateway(storage=storage) as client, client.get("/api/storage/files/bafy") as reply:
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
