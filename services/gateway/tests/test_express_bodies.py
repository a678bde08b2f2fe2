"""Bodies both ways through the express lane: early answers, limits, and who does not read."""

import asyncio
from typing import Any

from .express_wire import (
    COUNT,
    FILE,
    IN_FLIGHT,
    OK,
    PART,
    connected,
    express,
    head_of,
    service,
    settled,
    whole,
)


class TestBodies:
    async def test_an_early_answer_is_passed_on_and_the_rest_of_the_body_is_nobodys(self, start_express: Any) -> None:
        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK.replace(b"200 OK", b"409 Conflict"))
            await writer.drain()
            await reader.read()

        async with (
            service(early) as storage,
            start_express(storage=storage) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(b"POST /api/storage/files HTTP/1.1\r\nHost: hub\r\nContent-Length: 100000\r\n\r\n" + b"x" * 9)
            assert await whole(reader) == (409, b"{}")
            writer.write(b"x" * 99_991 + b"GET /api HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert (await whole(reader))[0] == 200

    async def test_a_body_that_grows_too_large_is_a_413_and_ends_the_services_part(self, start_express: Any) -> None:
        left = asyncio.Event()

        async def compute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.read(1 << 18):
                    pass
            finally:
                left.set()

        async with service(compute) as address, start_express(compute=address) as client:
            async with connected(client) as (reader, writer):
                writer.write(b"POST /api/compute/images HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(33):
                    writer.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                    await writer.drain()
                status, body = await whole(reader)
                assert (status, b"request.too-large" in body) == (413, True)
                await asyncio.wait_for(left.wait(), 10)
            assert await express(client) == 1

    async def test_who_waits_for_100_continue_gets_it_when_the_body_may_come(self, start_express: Any) -> None:
        seen: list[bytes] = []

        async def order(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            seen.append(await reader.readexactly(4))
            writer.write(OK)
            await reader.read()

        asked = b"POST /api/orders HTTP/1.1\r\nHost: hub\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        async with service(order) as address, start_express(order=address) as client:
            async with connected(client) as (reader, writer):
                writer.write(asked)
                assert await head_of(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
                writer.write(b"body")
                assert await whole(reader) == (200, b"{}")
            assert await express(client) == 1

        assert seen[1] == b"body"
        assert b"expect" not in seen[0].lower()

    async def test_a_slow_service_makes_the_client_wait(self, start_express: Any) -> None:
        reading, taken = asyncio.Event(), 0

        async def storage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            await reader.readuntil(b"\r\n\r\n")
            await reading.wait()
            while taken < COUNT * len(PART):
                taken += len(await reader.read(1 << 20))
            writer.write(OK)
            await reader.read()

        async with service(storage) as address, start_express(storage=address) as client:
            async with connected(client) as (reader, writer):
                size = COUNT * len(PART)
                writer.write(b"POST /api/storage/files HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n" % size)
                sent = 0

                async def sending() -> None:
                    nonlocal sent
                    for _ in range(COUNT):
                        writer.write(PART)
                        await writer.drain()
                        sent += len(PART)

                upload = asyncio.create_task(sending())
                assert 0 < await settled(lambda: sent) < IN_FLIGHT
                reading.set()
                await asyncio.wait_for(upload, 60)
                assert await whole(reader) == (200, b"{}")
            assert await express(client) == 1

        assert taken == COUNT * len(PART)


class TestSlowReaders:
    async def test_a_client_that_does_not_read_makes_the_service_wait(self, start_express: Any) -> None:
        sent = 0

        async def storage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (COUNT * len(PART)))
            for _ in range(COUNT):
                writer.write(PART)
                await writer.drain()
                sent += len(PART)
            await reader.read()

        async with service(storage) as address, start_express(storage=address) as client:
            async with connected(client, limit=1 << 16) as (reader, writer):
                writer.write(FILE)
                assert 0 < await settled(lambda: sent) < IN_FLIGHT
                await head_of(reader)
                for _ in range(COUNT):
                    assert await reader.readexactly(len(PART)) == PART
            assert await express(client) == 1
