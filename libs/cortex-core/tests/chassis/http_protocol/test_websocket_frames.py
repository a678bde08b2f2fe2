"""A client that breaks the protocol of its open WebSocket is closed by a code, and counted: no error of ours."""

import asyncio
import logging
import struct
from typing import Any

import pytest

from cortex_core.testing import eventually
from cortex_core.testing.hostile import Recorder
from cortex_core.testing.hostile.entries import get

from .connecting import connected
from .test_websocket_openings import UPGRADE


def frame(opcode: int, payload: bytes, *, last: bool = True, masked: bool = True) -> bytes:
    head = bytes([last << 7 | opcode, masked << 7 | len(payload)])
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Listening:
    """Accepts, and remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            self.heard.append(message.get("text", message.get("code")))
            if message["type"] == "websocket.disconnect":
                return None


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (frame(1, b"a\xc3", last=False) + frame(0, b"b"), 1007),
        (frame(1, b"a", masked=False), 1002),
        (frame(3, b""), 1002),
    ],
    ids=["no text", "no text, in two frames", "unmasked", "an unknown frame"],
)
async def test_it_is_told_why_and_counted_and_no_error(
    sent: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = Listening()
    async with connected(app) as (reader, writer, told):
        writer.write(get(*UPGRADE))
        async with asyncio.timeout(30):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            closed = await reader.read()
        await eventually(lambda: app.heard)

    assert (closed[0], struct.unpack("!H", closed[2:4])) == (0x88, (code,))
    assert app.heard == [code]
    assert [(each.reason, each.status, each.client) for each in told] == [("http.bad-frames", 0, "127.0.0.1")]
    assert told[0].detail.startswith(f"{code}: ")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_text_in_two_frames_is_one_wherever_it_is_cut() -> None:
    app = Listening()
    async with connected(app) as (reader, writer, told):
        writer.write(get(*UPGRADE))
        async with asyncio.timeout(30):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(1, b"\xc3", last=False) + frame(0, b"\xa4"))
            await eventually(lambda: app.heard)

    assert (app.heard[0], told) == ("ä", [])
