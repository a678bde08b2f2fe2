"""What every `ports.Carrier` must do with answers, over a real server that does what the test tells it. Each adapter's
test subclasses `CarrierContract`, `Nonsense`, `Uploads`, `Pace`, `Second`, and provides `opened`.
"""

import asyncio

import pytest

from cortex_core.chassis import UpstreamUnavailable
from cortex_core.testing import eventually
from cortex_gateway.ports import Head

from .carrier_server import CHUNKED, OK, Hearing, Open, carry, departure, replying, serving_raw


class CarrierContract:
    """`opened(address, connections=…)` opens a carrier whose order service is there."""

    @pytest.fixture
    def opened(self) -> Open:
        raise AssertionError("each adapter's test says how it is opened")

    async def test_an_answer_in_one_piece(self, opened: Open) -> None:
        async with serving_raw(replying(OK)) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.heard == ["answered", "received", "completed"]
        assert hearing.head == Head(200, b"Content-Length: 2\r\n", b"content-length: 2\r\n", 2)
        assert hearing.body == b"{}"

    async def test_the_request_as_the_service_sees_it(self, opened: Open) -> None:
        seen = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

        async with serving_raw(script) as address, opened(address) as carrier:
            await carry(carrier, budget=0.1)

        line, *fields, _, _ = seen[0].split(b"\r\n")
        assert line == b"GET /orders HTTP/1.1"
        assert sorted(fields) == sorted(
            [
                b"Host: " + address.removeprefix("http://").encode(),
                b"x-a: 1",
                b"X-Request-Deadline: 5000",
                b"X-Retry-Budget: 0.1",
            ]
        )

    @pytest.mark.parametrize("reply", [OK, CHUNKED], ids=["length", "chunked"])
    async def test_an_answer_split_at_every_byte_is_the_same_answer(self, opened: Open, reply: bytes) -> None:
        at = iter(range(1, len(reply)))

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for split in at:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply[:split])
                await asyncio.sleep(0.001)
                writer.write(reply[split:])

        async with serving_raw(script) as address, opened(address) as carrier:
            for _ in range(1, len(reply)):
                hearing = await carry(carrier)
                assert hearing.error is None
                assert hearing.head is not None
                assert hearing.body == (b"{}" if reply is OK else b"abc0123456789")

    async def test_an_answer_that_dribbles_byte_by_byte(self, opened: Open) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for byte in CHUNKED:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.body == b"abc0123456789"
        assert hearing.head == Head(200, b"X-Kept: 1\r\n", b"x-kept: 1\r\n", None)

    async def test_a_connection_is_kept_for_the_next_request(self, opened: Open) -> None:
        connections = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await replying(OK, CHUNKED, OK)(reader, writer)

        async with serving_raw(script) as address, opened(address) as carrier:
            assert [(await carry(carrier)).body for _ in range(3)] == [b"{}", b"abc0123456789", b"{}"]

        assert connections == 1

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            OK + b"\r\n",
            CHUNKED + b"x",
            b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 204 None\r\n\r\n0\r\n\r\n",
        ],
    )
    async def test_what_cannot_be_trusted_any_more_is_not_kept(self, opened: Open, reply: bytes) -> None:
        connections = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await reader.read()

        async with serving_raw(script) as address, opened(address) as carrier:
            for _ in range(2):
                hearing = await carry(carrier)
                assert hearing.error is None
                assert hearing.body in (b"{}", b"abc0123456789", b"")

        assert connections == 2

    async def test_an_answer_that_ends_with_its_connection(self, opened: Open) -> None:
        async with serving_raw(replying(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert (hearing.body, hearing.error) == (b"all of it", None)
        assert hearing.head is not None
        assert hearing.head.length is None

    @pytest.mark.parametrize(
        ("method", "reply"),
        [
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
            (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (b"GET", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: "1"\r\n\r\n'),
            (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
    )
    async def test_an_answer_without_a_body(self, opened: Open, method: bytes, reply: bytes) -> None:
        async with serving_raw(replying(reply, OK)) as address, opened(address) as carrier:
            hearing = await carry(carrier, method=method)
            assert hearing.heard == ["answered", "completed"]
            assert hearing.head is not None
            assert hearing.head.length == 0
            assert (await carry(carrier)).body == b"{}"

    async def test_interim_answers_are_swallowed(self, opened: Open) -> None:
        reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.head is not None
        assert (hearing.head.status, hearing.body) == (200, b"{}")

    async def test_fields_of_that_hop_alone_are_not_passed_on(self, opened: Open) -> None:
        reply = (
            b"HTTP/1.1 200 OK\r\nA: 1\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
            b"Proxy-Authenticate: Basic\r\nTE: trailers\r\nTrailer: B\r\nUpgrade: h2c\r\nContent-Length: 2\r\n"
            b"B: \xe9\r\n\r\n{}"
        )
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.head is not None
        assert hearing.head.fields == b"A: 1\r\nContent-Length: 2\r\nB: \xe9\r\n"
        assert hearing.head.folded == b"a: 1\r\ncontent-length: 2\r\nb: \xe9\r\n"

    @pytest.mark.parametrize("reply", [OK, CHUNKED], ids=["length", "chunked"])
    @pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
    async def test_a_connection_that_ends_early_never_ends_well(self, opened: Open, reply: bytes, reset: bool) -> None:
        at = iter(range(len(reply)))

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply[: next(at)])
            await asyncio.sleep(0.001)
            if reset:
                writer.transport.abort()

        async with serving_raw(script) as address, opened(address) as carrier:
            for _ in range(min(len(reply), 19)):  # twenty would open its circuit
                hearing = await carry(carrier)
                assert hearing.heard[-1] == "failed"
                assert isinstance(hearing.error, UpstreamUnavailable)

    async def test_an_answer_comes_through_as_it_is_made(self, opened: Open) -> None:
        go_on = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await go_on.wait()
            writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = Hearing()
            carrier.begin(departure(), b"", hearing)
            await eventually(lambda: hearing.parts == [b"first"])
            go_on.set()
            await hearing.over.wait()

        assert hearing.parts == [b"first", b"second"]
