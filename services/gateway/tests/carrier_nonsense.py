"""What every `ports.Carrier` must do with what is no answer."""

import asyncio

import pytest

from cortex_core.asgi.problems import STATUS
from cortex_core.chassis import UpstreamUnavailable

from .carrier_server import Open, carry, replying, serving_raw


class Nonsense:
    """What would have to be guessed is refused, and at once."""

    @pytest.mark.parametrize(
        "reply",
        [
            b"gibberish\r\n\r\n",
            b"gibberish",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: " + b"x" * (64 << 10) + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: " + b"x" * (64 << 10),
            b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 201 + b"Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 201 + b"Connection: close\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
        ],
    )
    async def test_what_is_no_answer_is_refused_whole(self, opened: Open, reply: bytes) -> None:
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.heard == ["failed"]
        assert isinstance(hearing.error, UpstreamUnavailable)
        assert (hearing.error.code, STATUS[hearing.error.kind]) == ("upstream.malformed", 502)
        assert "127.0.0.1" not in hearing.error.message

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 200 OK\nA: 1\n\n",
            b"HTTP/1.1 200 OK\r\nA: 1\n\n",
            b"HTTP/1.1 200 OK\r\nA: 1\rB: 2",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\n\n",
        ],
    )
    @pytest.mark.parametrize("step", [1, 1000], ids=["byte by byte", "whole"])
    async def test_a_line_that_ends_in_half_is_refused_at_once(self, opened: Open, reply: bytes, step: int) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for at in range(0, len(reply), step):
                writer.write(reply[at : at + step])
                await asyncio.sleep(0)
            await reader.read()  # until we hang up

        async with serving_raw(script) as address, opened(address) as carrier:
            hearing = await carry(carrier, timeout=60.0)

        assert hearing.error is not None
        assert hearing.error.code == "upstream.malformed"

    @pytest.mark.parametrize(
        "body",
        [
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\nx\r\n",
            b"0x1\r\nx\r\n",
            b"\r\n",
            b" 1\r\nx\r\n",
            b"1\nx\r\n",
            b"1 \r\nx\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n\r\n",
            b"1;" + b"e" * 1100 + b"\r\nx\r\n",
            b"1" * 1100,
            b"1" * 17 + b"\r\n",
            b"1;\x00\r\nx\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"0\r\n folded: 1\r\n\r\n",
            b"0\r\nA: " + b"x" * (64 << 10) + b"\r\n\r\n",
            b"0\r\nA: " + b"x" * (64 << 10) + b"x" * 100,
            b"0\r\n" + b"A: 1\r\n" * 201 + b"\r\n",
        ],
    )
    async def test_chunks_that_are_none_break_the_answer_off(self, opened: Open, body: bytes) -> None:
        reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        async with serving_raw(replying(reply)) as address, opened(address) as carrier:
            hearing = await carry(carrier)

        assert hearing.heard[0] == "answered"
        assert hearing.heard[-1] == "failed"
        assert hearing.error is not None
        assert hearing.error.code == "upstream.malformed"
