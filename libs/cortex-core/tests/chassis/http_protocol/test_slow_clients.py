"""Sockets that are held open, over the real server, with its deadlines scaled down."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.testing import eventually
from cortex_core.testing.hostile import Recorder
from cortex_core.testing.hostile.entries import BEFORE, get, post
from cortex_core.testing.hostile.wire import Answer, parsed

from .connecting import connected


async def rest(reader: asyncio.StreamReader, *, heads: int = 0) -> list[Answer]:
    async with asyncio.timeout(30):
        return parsed(await reader.read(), heads=heads, whole=True)


async def trickle(writer: asyncio.StreamWriter, byte: bytes = b"a") -> None:
    while not writer.is_closing():
        writer.write(byte)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def trickling(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(trickle(writer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_says_nothing_is_cut_without_a_word() -> None:
    async with connected(Recorder()) as (reader, _, told):
        assert await rest(reader) == []

    assert [details.reason for details in told] == ["http.silent"]


async def test_a_head_that_trickles_is_answered_408() -> None:
    async with connected(Recorder()) as (reader, writer, told):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        async with trickling(writer):
            (answer,) = await rest(reader)

    assert (answer.status, answer.code) == (408, "http.head-timeout")
    assert [details.reason for details in told] == ["http.head-timeout"]


async def test_a_later_head_that_trickles_is_answered_408_behind_the_first() -> None:
    async with connected(Recorder()) as (reader, writer, _):
        writer.write(BEFORE + b"GET ")
        async with trickling(writer):
            answers = await rest(reader)

    assert [answer.status for answer in answers] == [200, 408]


async def test_an_idle_connection_just_ends() -> None:
    async with connected(Recorder()) as (reader, writer, told):
        writer.write(BEFORE)
        answers = await rest(reader)

    assert [answer.status for answer in answers] == [200]
    assert told == []


@pytest.mark.parametrize("line", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stops_is_answered_408(line: bytes) -> None:
    app = Recorder()
    async with connected(app) as (reader, writer, told):
        writer.write(post(line, body=b"4000\r\n" + b"a" * 1000))
        (answer,) = await rest(reader)

    assert (answer.status, answer.code) == (408, "http.body-timeout")
    assert [details.reason for details in told] == ["http.body-timeout"]
    assert app.seen == []


async def test_a_body_that_trickles_is_answered_408() -> None:
    app = Recorder()
    async with connected(app) as (reader, writer, _):
        writer.write(post(b"Content-Length: 100000"))
        async with trickling(writer):
            (answer,) = await rest(reader)

    assert (answer.status, answer.code) == (408, "http.body-timeout")
    assert app.seen == []


async def test_a_body_that_comes_slowly_and_steadily_is_served() -> None:
    grace = 0.2

    async def served() -> bool:
        """False where the client was held up for longer than the grace: he was rightly refused."""
        longest, loop, app = 0.0, asyncio.get_running_loop(), Recorder()
        async with connected(app, ConnectionLimits(body_grace=grace, body_rate=100.0)) as (reader, writer, _):
            writer.write(post(b"Connection: close", b"Content-Length: 6000"))
            for _ in range(60):
                writer.write(b"a" * 100)
                last = loop.time()
                await asyncio.sleep(0.01)
                longest = max(longest, loop.time() - last)
            try:
                statuses = [answer.status for answer in await rest(reader)]
            except OSError:  # a reset: it was refused while it wrote
                statuses = []
        if statuses != [200] and longest >= grace:
            return False
        assert statuses == [200]
        assert len(app.seen[0][3]) == 6000
        return True

    while not await served():
        pass


async def test_the_application_is_told_that_its_client_is_gone() -> None:
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with connected(app) as (reader, writer, _):
        writer.write(post(b"Content-Length: 10", body=b"a"))
        (answer,) = await rest(reader)
        async with asyncio.timeout(30):
            await told.wait()

    assert answer.status == 408


async def test_an_answer_that_has_begun_breaks_off_when_the_body_does() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def what_came() -> bytes:
        async with connected(app) as (reader, writer, _):
            writer.write(post(b"Content-Length: 10", body=b"a"))
            got = b""
            with pytest.raises(ConnectionResetError):
                while read := await reader.read(1 << 16):
                    got += read
        return got

    for _ in range(5):
        if got := await what_came():
            break  # else the reset came before we had read, and took it away: the machine stood still
    assert got.endswith(b"begun\r\n")


async def test_who_waits_while_we_work_is_not_hurried() -> None:
    app = Recorder()
    app.hold = asyncio.Event()
    async with connected(app) as (reader, writer, told):
        writer.write(get(b"Connection: close"))
        asyncio.get_running_loop().call_later(0.9, app.hold.set)
        (answer,) = await rest(reader)

    assert answer.status == 200
    assert told == []


async def test_who_sends_while_we_do_not_read_is_not_blamed() -> None:
    """The application reads nothing for longer than every deadline; then it reads all."""
    app = Recorder()
    app.hold = asyncio.Event()
    size = 8 << 20
    async with connected(app) as (reader, writer, told):
        writer.write(post(b"Connection: close", b"Content-Length: %d" % size, body=b"a" * size))
        asyncio.get_running_loop().call_later(0.9, app.hold.set)
        (answer,) = await rest(reader)

    assert answer.status == 200
    assert len(app.seen[0][3]) == size
    assert told == []


async def test_who_waits_for_100_continue_is_not_blamed() -> None:
    app = Recorder()
    app.hold = asyncio.Event()
    async with connected(app) as (reader, writer, _):
        writer.write(post(b"Connection: close", b"Expect: 100-continue", b"Content-Length: 5"))
        asyncio.get_running_loop().call_later(0.9, app.hold.set)
        async with asyncio.timeout(30):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        (answer,) = await rest(reader)

    assert answer.status == 200


async def long(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return await Recorder()(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(500):  # 32 MB: more than two sockets hold
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def test_who_does_not_read_an_answer_is_cut() -> None:
    limits = ConnectionLimits(write_silence=0.3)
    async with connected(long, limits) as (_, writer, told):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        transport: Any = writer.transport
        transport.pause_reading()
        writer.write(get())

        await eventually(lambda: [details.reason for details in told] == ["http.answer-not-read"])


async def test_who_closes_is_not_waited_for_by_what_it_does_not_read() -> None:
    """The last answer fills the socket; an idle connection's end must not wait for it to be taken."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"x" * (8 << 20)})

    async with connected(app, ConnectionLimits(write_silence=0.3, keep_alive=0.3)) as (_, writer, told):
        transport: Any = writer.transport
        transport.pause_reading()
        writer.write(get())

        await eventually(lambda: [details.reason for details in told] == ["http.answer-not-read"])


async def test_who_reads_slowly_but_reads_is_served() -> None:
    limits = ConnectionLimits(write_silence=0.7, body_rate=1000.0)  # longer than a busy machine stands still
    async with connected(long, limits) as (reader, writer, told):
        writer.write(get())
        taken, until = 0, asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < until:
            taken += len(await reader.read(1 << 15))
            await asyncio.sleep(0.02)

    assert taken > 1 << 18
    assert told == []
