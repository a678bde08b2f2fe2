"""Chunk by chunk: each can be decoded when the application waits, and one at most is under way."""

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortex_core.asgi.compression import Codec, Levels, Precompressed, installed_codecs

CODINGS = ["zstd", "br", "gzip", "deflate"]
JSON = (b"content-type", b"application/json")
KIB = 1024
CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=8), st.integers(1, 5000)),
    ),
    min_size=2,
    max_size=8,
)


@pytest.mark.parametrize("coding", CODINGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(chunks=CHUNKS, off_loop=st.sampled_from([128 * 1024, 100]), data=st.data())
async def test_when_the_application_waits_the_client_has_all_that_was_sent(
    get: Any, stream: Any, coding: str, chunks: list[bytes], off_loop: int, data: st.DataObject
) -> None:
    decoder, decoded = stream(coding), bytearray()
    waits = data.draw(st.lists(st.booleans(), min_size=len(chunks), max_size=len(chunks)))

    async def arrived(message: Any) -> None:
        decoded.extend(decoder.feed(message.get("body", b"")))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent = b""
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        for chunk, waiting in zip(chunks, waits, strict=True):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent += chunk
            assert len(sent) - len(decoded) < 64 * KIB
            if waiting:
                await asyncio.sleep(0)
                assert decoded == sent
        await send({"type": "http.response.body"})

    await get(app, coding, off_loop=off_loop, sent=arrived)
    assert decoder.ended
    assert decoded == b"".join(chunks)


@pytest.mark.parametrize("kind", [JSON, (b"content-type", b"text/event-stream")])
async def test_an_empty_chunk_sends_the_head_and_no_byte(get: Any, answer: Any, kind: Any) -> None:
    heads: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        heads.append(len(answer.messages))
        await send({"type": "http.response.body", "body": b"x"})

    await get(app, into=answer, events=True)

    assert heads == [1]
    assert answer.body == b"x"


async def test_the_application_waits_until_its_chunk_is_taken(get: Any, answer: Any) -> None:
    taken, sent = asyncio.Event(), 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        for _ in range(10):
            await send({"type": "http.response.body", "body": b"x" * 300_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    async def slowly(message: Any) -> None:
        await taken.wait()

    running = asyncio.create_task(get(app, sent=slowly, into=answer))
    for _ in range(50):
        await asyncio.sleep(0)

    assert (sent, len(answer.messages)) == (0, 1)
    taken.set()
    await running
    assert answer.body == b"x" * 3_000_000


class Recorded:
    """A coding that changes nothing and writes down who did what, on which thread."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bool]] = []
        self.codec = Codec("gzip", Levels(6, 1, 9), lambda level: self, self.whole)

    def _note(self, data: Any) -> bytes:
        self.pieces.append((len(data), threading.current_thread() is threading.main_thread()))
        return bytes(data)

    def encode(self, data: Any) -> bytes:
        return self._note(data)

    def whole(self, body: bytes, level: int) -> bytes:
        return self._note(body)

    def flush(self) -> bytes:
        return b""

    finish = flush


@pytest.mark.parametrize(
    ("parts", "pieces"),
    [
        ([128 * KIB], [(128 * KIB, True)]),
        ([128 * KIB, 1], [(128 * KIB, True), (1, True)]),
        ([128 * KIB + 1], [(128 * KIB + 1, False)]),
        ([600 * KIB, 1], [(256 * KIB, False), (256 * KIB, False), (88 * KIB, False), (1, True)]),
        ([512 * KIB], [(256 * KIB, False), (256 * KIB, False)]),
    ],
)
async def test_a_large_chunk_leaves_the_loop_in_slices(get: Any, says: Any, parts: Any, pieces: Any) -> None:
    recorded = Recorded()

    answer = await get(says(*(b"x" * size for size in parts)), codecs=[recorded.codec])

    assert recorded.pieces == pieces
    assert len(answer.raw) == sum(parts)


async def test_a_slice_that_gives_nothing_yet_sends_nothing(get: Any, says: Any) -> None:
    answer = await get(says(b"x" * 3_000_000, b""), "gzip")

    assert all(answer.parts[:-1])
    assert answer.body == b"x" * 3_000_000


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_large_last_chunk_ends_once(get: Any, says: Any, coding: str) -> None:
    large = bytes(range(256)) * 4_000

    assert (await get(says(large, large), coding)).body == large * 2


async def test_the_loop_runs_while_a_slice_is_compressed(get: Any, says: Any) -> None:
    turns, during = 0, list[int]()

    class Watched:
        def __init__(self, level: int) -> None:
            self._brotli = brotli.encoder(level)
            self.flush, self.finish = self._brotli.flush, self._brotli.finish

        def encode(self, data: Any) -> bytes:
            end = time.monotonic() + 5.0  # on a busy machine it may take more than one try
            while max(during, default=0) < 5 and time.monotonic() < end:
                before = turns
                brotli.whole(noise, 5)
                during.append(turns - before)
            return self._brotli.encode(data)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    noise = random.Random(1).randbytes(2 << 20)
    (brotli,) = installed_codecs(["br"])
    turning = asyncio.create_task(turn())
    watched = Codec("br", brotli.levels, Watched, brotli.whole)
    await get(says(bytes(300_000), b""), codecs=[watched], accept="br")
    turning.cancel()

    assert max(during) >= 5  # one that kept the interpreter to itself would let the loop turn once, before or after


@pytest.mark.parametrize("kept", [None, Precompressed()])
async def test_a_large_chunk_is_compressed_while_the_loops_own_threads_are_busy(get: Any, says: Any, kept: Any) -> None:
    released = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, released.wait)
    app = says(bytes(300_000), headers=[(b"content-type", b"text/plain"), (b"cache-control", b"immutable")])

    try:
        answer = await asyncio.wait_for(get(app, precompressed=kept), 30)
    finally:
        released.set()
        await busy

    assert (answer.coding, answer.body) == ("gzip", bytes(300_000))


async def test_trailers_follow_the_body(get: Any) -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"server-timing", b"db;dur=1")]}

    def app(*parts: bytes) -> Any:
        async def sends(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [JSON], "trailers": True})
            for number, part in enumerate(parts, start=1):
                await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})
            await send(trailers)

        return sends

    for each in (app(b"x" * 5000), app(b"x", b"y"), app(b"ok")):
        got = await get(each)
        assert got.messages[-1] is trailers
        assert got.start["trailers"] is True


async def test_an_early_hint_comes_before_the_head(get: Any) -> None:
    hint = {"type": "http.response.early_hint", "links": []}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(hint)
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b"x" * 5000})

    got = await get(app)

    assert got.messages[0] is hint
    assert got.coding == "gzip"


FILES = {"http.response.pathsend": {}, "http.response.zerocopysend": {}, "http.response.trailers": {}}


async def test_a_server_that_sends_files_itself_is_not_asked_to(get: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"])
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b""})

    await get(app, "gzip", extensions=FILES)
    await get(app, None, extensions=FILES)

    assert seen == [{"http.response.trailers": {}}, FILES]


async def test_a_path_that_is_sent_all_the_same_goes_out_as_it_is(get: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.pathsend", "path": "/etc/motd"})

    got = await get(app, "gzip", extensions=FILES)

    assert got.coding is None
    assert got.messages[-1]["path"] == "/etc/motd"
