"""An answer that is given before its request's body has come: it is read, and what still comes is bounded."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.testing.hostile import Recorder
from cortex_core.testing.hostile.entries import post

from .connecting import connected


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return await Recorder()(scope, receive, send)
    await send({"type": "http.response.start", "status": 422, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"never"})


async def pushed(writer: asyncio.StreamWriter, seconds: float) -> int:
    """Bytes that were taken within that time of all that can be sent."""
    sent = 0
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                await asyncio.sleep(0)
                sent += 65536
    return sent


@pytest.mark.parametrize("head", [b"Content-Length: 900000000", b"Transfer-Encoding: chunked"])
async def test_it_can_be_read_by_one_who_has_not_stopped_sending(head: bytes) -> None:
    """A reset would take it away: where a write fails, nobody reads on."""
    body = b"10000000\r\n" if b"chunked" in head else b"a"
    async with connected(refusing, ConnectionLimits(leftover=1 << 20)) as (reader, writer, told):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(post(head, body=body))
        assert await pushed(writer, 0.5) > 1 << 20

        writer.transport.resume_reading()  # type: ignore[attr-defined]
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 422 ")
        assert answer.endswith(b"never")

    assert [details.reason for details in told] == ["http.body-not-wanted"]


async def test_who_goes_on_for_all_that_is_cut_off() -> None:
    async with connected(refusing, ConnectionLimits(leftover=1 << 20, linger=0.1)) as (reader, writer, told):
        writer.write(post(b"Content-Length: 900000000", body=b"a"))
        async with asyncio.timeout(30):
            await reader.readuntil(b"never")
            with pytest.raises(OSError, match=r"reset|lost|Broken"):
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
                    await asyncio.sleep(0)

        assert [details.reason for details in told] == ["http.body-not-wanted"]
