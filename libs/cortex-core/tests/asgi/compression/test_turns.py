"""Chunks of one turn of the loop leave as one; nothing is lost or queued without bound."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

CODINGS = ["zstd", "br", "gzip", "deflate"]
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")
KIB = 1024

Say = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("coding", CODINGS)
async def test_chunks_of_one_turn_are_one(get: Any, says: Any, coding: str) -> None:
    rows = [b'{"order":%d}\n' % number for number in range(17)]

    answer = await get(says(*rows), coding)

    assert len(answer.parts) == 1
    assert answer.messages[-1]["more_body"] is False
    assert answer.body == b"".join(rows)


async def test_an_application_that_does_not_wait_is_not_made_to(get: Any, says: Any) -> None:
    running = asyncio.create_task(get(says(b"a", b"b", b"c")))
    await asyncio.sleep(0)

    assert running.done()


async def test_chunks_that_the_application_waits_between_are_not(run: Any, sink: Any, plain: Any) -> None:
    recorded = plain()

    async def script(say: Say) -> None:
        for chunk in (b"a", b"b", b"c"):
            await say(chunk)
            await asyncio.sleep(0)
            assert sink.parts[-1] == chunk
        await say(b"", more=False)

    await run(script, codecs=[recorded.codec])

    assert (sink.parts, recorded.flushes) == ([b"a", b"b", b"c", b"."], 4)


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([64 * KIB, 1], [64 * KIB, 1]),
        ([64 * KIB - 1, 1], [64 * KIB - 1 + 1]),
        ([40 * KIB] * 5, [80 * KIB, 80 * KIB, 40 * KIB]),
        ([KIB] * 130, [64 * KIB, 64 * KIB, 2 * KIB]),
        ([KIB, 128 * KIB + 1, KIB], [129 * KIB + 1, KIB]),
        ([KIB, 300 * KIB, KIB, KIB], [257 * KIB, 44 * KIB, 2 * KIB]),
    ],
)
async def test_64_kib_are_not_held(run: Any, sink: Any, plain: Any, sizes: list[int], parts: list[int]) -> None:
    class Eager(plain):
        def encode(self, data: Any) -> bytes:
            return bytes(data)

    async def script(say: Say) -> None:
        for size in sizes:
            await say(b"x" * size)
        await say(b"", more=False)

    await run(script, codecs=[Eager().codec])

    assert [len(part.rstrip(b".")) for part in sink.parts if part != b"."] == parts


@pytest.mark.parametrize(("size", "waits", "sent"), [(KIB, True, 2), (KIB, False, 64), (64 * KIB, False, 1)])
async def test_a_server_that_does_not_take_stops_the_application(
    run: Any, sink: Any, size: int, waits: bool, sent: int
) -> None:
    asked = 0

    async def script(say: Say) -> None:
        nonlocal asked
        for _ in range(200):
            asked += 1
            await say(b"x" * size)
            if waits:
                await asyncio.sleep(0)
        await say(b"", more=False)

    sink.open.clear()
    running = asyncio.create_task(run(script))
    for _ in range(50):
        await asyncio.sleep(0)

    assert (asked, sink.begun) == (sent, 1)
    sink.open.set()
    await running
    assert b"".join(sink.parts) == b"x" * 200 * size + b"."


async def test_parts_are_sent_one_after_the_other(run: Any, sink: Any) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        await say(b"b")
        await say(b"x" * 200 * KIB)
        await say(b"c", more=False)

    sink.open.clear()
    running = asyncio.create_task(run(script))
    for _ in range(20):
        await asyncio.sleep(0)

    assert sink.begun == 1
    sink.open.set()
    await running
    assert b"".join(sink.parts) == b"ab" + b"x" * 200 * KIB + b"c."


async def test_two_that_send_at_once_both_get_through(run: Any, sink: Any) -> None:
    async def script(say: Say) -> None:
        await say(b"a")
        await asyncio.sleep(0)
        both = asyncio.gather(say(b"b"), say(b"c"))
        await asyncio.sleep(0)
        sink.open.set()
        await both
        await say(b"d", more=False)

    sink.open.clear()

    await run(script)

    assert b"".join(sink.parts) == b"abcd."


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_event_is_decoded_when_its_send_returns(run: Any, sink: Any, stream: Any, coding: str) -> None:
    decoder = stream(coding)

    async def script(say: Say) -> None:
        for number in range(3):
            await say(b"data: %d\n\n" % number)
            assert decoder.feed(sink.parts.pop()) == b"data: %d\n\n" % number
        await say(b"", more=False)

    await run(script, headers=[EVENTS], events=True, accept=coding, codecs=None)

    decoder.feed(sink.parts.pop())
    assert decoder.ended


async def test_what_is_sent_later_is_sent_in_the_context_of_its_chunk(get: Any) -> None:
    request: ContextVar[str] = ContextVar("request")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request.set("req_1")
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})

    async def sent(message: Any) -> None:
        seen.append(request.get())

    await get(app, sent=sent)

    assert seen == ["req_1", "req_1"]
