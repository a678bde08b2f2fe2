"""The express lane on the wire: pipelines, how answers end, and clients that leave."""

import asyncio
import socket
from typing import Any

import pytest

from .express_wire import LIST, OK, Silent, answering, breaking, connected, express, head_of, service, whole


class TestPipelines:
    @pytest.mark.parametrize("size", [1, 7, 10_000])
    async def test_answers_come_in_order(self, start_express: Any, size: int) -> None:
        asked = b"".join(b"GET /api/storage/files/f%d HTTP/1.1\r\nHost: hub\r\n\r\n" % n for n in range(5))

        async def named(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readuntil(b"\r\n\r\n"):
                name = line.split(b" ")[1].rpartition(b"/")[2]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

        async with service(named) as storage, start_express(storage=storage) as client:
            async with connected(client) as (reader, writer):
                for at in range(0, len(asked), size):
                    writer.write(asked[at : at + size])
                    await asyncio.sleep(0)
                assert [await whole(reader) for _ in range(5)] == [(200, b"f%d" % n) for n in range(5)]
            assert await express(client) >= 1

    async def test_a_follower_of_either_lane_waits_its_turn(self, start_express: Any) -> None:
        async with (
            service(answering) as storage,
            start_express(storage=storage) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(LIST + b"GET /api/nothing HTTP/1.1\r\nHost: hub\r\n\r\n" + LIST)
            assert [(await whole(reader))[0] for _ in range(3)] == [200, 404, 200]
            writer.write(LIST)
            assert await whole(reader) == (200, b"{}")

    async def test_a_connection_serves_many_requests_one_after_the_other(self, start_express: Any) -> None:
        async with service(answering) as storage, start_express(storage=storage) as client:
            async with connected(client) as (reader, writer):
                for _ in range(20):
                    writer.write(LIST)
                    assert await whole(reader) == (200, b"{}")
            assert await express(client) == 20


class TestHowItEnds:
    async def test_a_client_may_ask_that_the_connection_closes(self, start_express: Any) -> None:
        async with service(answering) as storage, start_express(storage=storage) as client:
            async with connected(client) as (reader, writer):
                writer.write(LIST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                head = await head_of(reader)
                assert b"\r\nconnection: close\r\n" in head
                assert await reader.read() == b"{}"
            assert await express(client) == 1

    async def test_an_old_client_gets_no_chunks_and_the_end_is_the_end(self, start_express: Any) -> None:
        async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            await reader.read()

        async with service(chunked) as storage, start_express(storage=storage) as client:
            async with connected(client) as (reader, writer):
                writer.write(LIST.replace(b"HTTP/1.1", b"HTTP/1.0"))
                head = await head_of(reader)
                assert b"transfer-encoding" not in head.lower()
                assert await reader.read() == b"abc"
            assert await express(client) == 1

    async def test_an_old_client_is_not_told_that_half_an_answer_is_whole(self, start_express: Any) -> None:
        broken = breaking(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

        async with (
            service(broken) as storage,
            start_express(storage=storage) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(LIST.replace(b"HTTP/1.1", b"HTTP/1.0"))
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)

    @pytest.mark.parametrize(
        "framing", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    )
    async def test_an_answer_that_breaks_off_breaks_off_here(self, start_express: Any, framing: bytes) -> None:
        broken = breaking(b"HTTP/1.1 200 OK\r\n" + framing)

        async with (
            service(broken) as storage,
            start_express(storage=storage) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(LIST)
            assert (await head_of(reader))[9:12] == b"200"
            rest = await asyncio.wait_for(reader.read(), 10)
            assert b"abc" in rest
            assert not rest.endswith(b"0\r\n\r\n")

    async def test_one_that_was_to_be_compressed_and_is_not_whole_is_a_problem(self, start_express: Any) -> None:
        """Nothing of it has gone out, so that the truth can be said."""

        broken = breaking(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9000\r\n\r\n" + b"a" * 5000)

        async with service(broken) as storage, start_express(storage=storage) as client:
            async with connected(client) as (reader, writer):
                writer.write(LIST.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"))
                status, body = await whole(reader)
                assert (status, b'"code":"upstream.' in body) == (503, True)
                writer.write(LIST.replace(b"/storage/files", b""))
                assert (await whole(reader))[0] == 200
            assert await express(client) == 2

    async def test_an_answer_until_close_is_chunked_for_the_client(self, start_express: Any) -> None:
        broken = breaking(b"HTTP/1.1 200 OK\r\n\r\nabc")

        async with (
            service(broken) as storage,
            start_express(storage=storage) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(LIST)
            assert b"transfer-encoding: chunked" in await head_of(reader)
            assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\nabc\r\n0\r\n\r\n"


class TestWhoeverLeaves:
    @pytest.mark.parametrize("reset", [False, True])
    async def test_a_client_that_leaves_ends_the_services_part(self, start_express: Any, reset: bool) -> None:
        storage = Silent()

        async with service(storage) as address, start_express(storage=address) as client:
            async with connected(client) as (_, writer):
                writer.write(LIST)
                await asyncio.wait_for(storage.asked.wait(), 10)
                if reset:
                    taken = writer.get_extra_info("socket")
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    writer.transport.abort()
            await asyncio.wait_for(storage.left.wait(), 10)
            async with client.get("/metrics") as page:
                assert 'route="/api/storage/files",service="gateway",status="499"} 1.0' in await page.text()

    async def test_a_client_that_sends_no_more_has_left(self, start_express: Any) -> None:
        """As in the application's lane: a connection that is half closed is closed."""
        storage = Silent()

        async with (
            service(storage) as address,
            start_express(storage=address) as client,
            connected(client) as (reader, writer),
        ):
            writer.write(LIST)
            await asyncio.wait_for(storage.asked.wait(), 10)
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 10) == b""
            await asyncio.wait_for(storage.left.wait(), 10)

    async def test_draining_lets_what_is_under_way_end(self, start_express: Any) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def storage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await go_on.wait()
            writer.write(OK)
            await reader.read()

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
            writer.write(LIST)
            return await asyncio.wait_for(reader.read(), 10)

        async with service(storage) as address:
            async with start_express(storage=address) as client:
                port = client._base_url.port
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                answer = asyncio.create_task(ask(reader, writer))
                await asyncio.wait_for(asked.wait(), 10)
                asyncio.get_running_loop().call_later(0.05, go_on.set)  # when the server is draining by then
            told = await answer
            writer.close()

        assert told.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in told
