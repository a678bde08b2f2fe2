"""The control: without the guards the same table finds what it looks for. A table that nothing fails proves nothing."""

import asyncio
import logging

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cortex_core.testing import serving
from cortex_core.testing.hostile import HOSTILE, Hostile, Recorder, exchange

SERVED_BY_UVICORN = frozenset(
    {
        "request line: two blanks after the method",
        "request line: RTSP by GET",
        "target: fragment",
        "target: other host than Host",
        "target: escaped NUL",
        "host: none",
        "host: two",
        "host: markup",
        "header: 101 lines",
        "header: value of 33 KiB",
        "coding: by HTTP/1.0",
        "coding: gzip, chunked",
        "chunk: 2,000 extensions",
    }
)


@pytest.mark.parametrize("hostile", [each for each in HOSTILE if str(each) in SERVED_BY_UVICORN], ids=str)
async def test_plain_uvicorn_serves_it(hostile: Hostile) -> None:
    app = Recorder()
    data = hostile.data + (b"0\r\n\r\n" if hostile.group == "chunk" else b"")
    async with serving(app, protocol=HttpToolsProtocol) as server:
        port = int(server._base_url.port or 0)  # type: ignore[union-attr]
        answers, _ = await exchange(port, [data], answers=1)

    assert answers[0].status == 200


def test_the_control_speaks_of_entries_that_are_there() -> None:
    assert {str(each) for each in HOSTILE} >= SERVED_BY_UVICORN


async def test_plain_uvicorn_takes_a_body_for_a_request_behind_an_upgrade(caplog: pytest.LogCaptureFixture) -> None:
    """One request, whose body says GET /smuggled: it is served as a second one."""
    caplog.set_level(logging.ERROR)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 36\r\n\r\n"
    app = Recorder()
    async with serving(app, protocol=HttpToolsProtocol) as server, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", server._base_url.port)  # type: ignore[union-attr]
        for sent in (head, smuggled):
            writer.write(sent)
            await reader.readuntil(b"ok")
        writer.close()

    assert b"/smuggled" in [target for _, target, _, _ in app.seen]
