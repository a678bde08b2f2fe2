"""So many, and no more: requests that wait on a connection, connections of a process."""

import asyncio

from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, guarded
from cortex_core.testing import serving
from cortex_core.testing.hostile import Answer, Recorder
from cortex_core.testing.hostile.entries import get
from cortex_core.testing.hostile.wire import parsed


async def rest(reader: asyncio.StreamReader) -> list[Answer]:
    async with asyncio.timeout(30):
        return parsed(await reader.read(), whole=True)


async def test_so_many_requests_wait_on_a_connection_and_no_more() -> None:
    app = Recorder()
    app.hold = asyncio.Event()
    begun = asyncio.Event()
    app.begun = begun.set
    async with serving(app, protocol=guarded(HttpProtocol, ConnectionLimits(pipelined=4))) as server:
        port = server._base_url.port  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get() * 20)
        async with asyncio.timeout(30):
            await begun.wait()
        app.hold.set()
        answers = await rest(reader)
        writer.close()

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[-1].code == "http.too-many-pipelined"
    assert len(app.seen) == 5


async def test_so_many_connections_and_no_more() -> None:
    app = Recorder()
    async with serving(app, protocol=guarded(HttpProtocol, ConnectionLimits(connections=2))) as server:
        port = server._base_url.port  # type: ignore[union-attr]
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        (answer,) = await rest(reader)
        writer.close()
        for _, each in held:
            each.close()

    assert (answer.status, answer.code) == (503, "http.too-many-connections")
    assert app.seen == []
