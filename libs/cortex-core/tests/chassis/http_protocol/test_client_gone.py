"""A client that leaves: each of its requests hears of it, not only the one that came last."""

import asyncio
import logging
from typing import Any

import pytest

from cortex_core.chassis.http_protocol.flow import break_off
from cortex_core.testing import eventually
from cortex_core.testing.hostile import Recorder
from cortex_core.testing.hostile.entries import get

from .connecting import connected


class Slow:
    """Answers when it is let; writes down whose requests began, and who was told that the client has gone."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.told: list[str] = []
        self.let = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Recorder()(scope, receive, send)
        path = scope["path"]
        self.begun.append(path)
        await receive()
        if (await receive())["type"] == "http.disconnect":
            self.told.append(path)
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("requests", [1, 2, 3])
async def test_the_request_under_way_is_told_and_no_other_begins(
    requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = Slow()
    async with connected(app) as (_, writer, _told):
        writer.write(b"".join(get(line=b"GET /%d HTTP/1.1" % number) for number in range(requests)))
        await eventually(lambda: app.begun)
        break_off(writer.transport)  # type: ignore[arg-type]

        await eventually(lambda: app.told == ["/0"])
        app.let.set()

    assert app.begun == ["/0"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
