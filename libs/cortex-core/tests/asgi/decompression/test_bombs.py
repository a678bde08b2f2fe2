"""What grows: refused where it crosses its bound, at the cost of one piece, without holding the loop."""

import asyncio
import gzip
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import brotli
import pytest
import zstandard

from cortex_core.asgi import BadEncoding, Decompression, RequestTooLarge

MIB = 1 << 20


def bomb(coding: str, mebibytes: int) -> bytes:
    """That many MiB of nothing."""
    zeros = bytes(MIB)
    if coding == "br":
        large = brotli.Compressor(quality=5, lgwin=22)
        return b"".join([*(large.process(zeros) for _ in range(mebibytes)), large.finish()])
    if coding == "zstd":
        frame = zstandard.ZstdCompressor(level=3).compressobj()
        return b"".join([*(frame.compress(zeros) for _ in range(mebibytes)), frame.flush()])
    stream = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    return b"".join([*(stream.compress(zeros) for _ in range(mebibytes)), stream.flush()])


async def read(body: bytes, coding: str, *, limit: int = MIB, **options: Any) -> int:
    """How many bytes the application got. Raises what it met."""
    got = 0
    messages = iter(
        {"type": "http.request", "body": body[at : at + 65_536], "more_body": at + 65_536 < len(body)}
        for at in range(0, len(body), 65_536)
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        more = True
        while more:
            message = await receive()
            got += len(message["body"])
            more = message["more_body"]

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "headers": [(b"content-encoding", coding.encode())]}
    await Decompression(app, limit=limit, **options)(scope, receive, send)
    return got


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_the_last_byte_allowed_passes_and_the_next_does_not(coding: str) -> None:
    body = bomb(coding, 2)

    assert await read(body, coding, limit=2 * MIB) == 2 * MIB
    with pytest.raises(RequestTooLarge, match=f"the {2 * MIB - 1} bytes"):
        await read(body, coding, limit=2 * MIB - 1)


async def test_what_stands_between_two_codings_is_bounded_too() -> None:
    many = gzip.compress(gzip.compress(b"") * 200_000)  # 4 MB of members without a byte in them

    with pytest.raises(RequestTooLarge):
        await read(many, "gzip, gzip")


async def test_what_comes_in_is_bounded_although_it_decodes_to_nothing() -> None:
    with pytest.raises(RequestTooLarge):
        await read(gzip.compress(b"") * 200_000, "gzip")


async def test_a_ratio_refuses_what_grows_too_well() -> None:
    body = bomb("gzip", 3)  # a thousandfold

    assert await read(body, "gzip", limit=8 * MIB, ratio=2_000) == 3 * MIB
    assert await read(bomb("gzip", 1), "gzip", limit=8 * MIB, ratio=2) == MIB  # nobody minds a single MiB
    with pytest.raises(RequestTooLarge):
        await read(body, "gzip", limit=8 * MIB, ratio=100)


def test_a_ratio_names_what_it_allowed() -> None:
    with pytest.raises(RequestTooLarge, match=str(MIB)):
        asyncio.run(read(bomb("br", 9), "br", limit=64 * MIB, ratio=1))


@pytest.mark.parametrize("bits", [10, 16, 17, 18, 22, 23])
async def test_a_brotli_window_up_to_8_mib_is_taken(bits: int) -> None:
    assert await read(brotli.compress(b"x" * 1_000, lgwin=bits), "br") == 1_000


async def test_a_larger_brotli_window_is_refused() -> None:
    with pytest.raises(BadEncoding, match="window larger than 8 MiB"):
        await read(brotli.compress(b"x" * 1_000, lgwin=24), "br")


@pytest.mark.parametrize(("bits", "taken"), [(23, True), (24, False)])
async def test_a_zstd_window_is_bounded_likewise(bits: int, taken: bool) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=bits)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = frame.compress(b"x" * 1_000) + frame.flush()

    if taken:
        assert await read(body, "zstd") == 1_000
    else:
        with pytest.raises(BadEncoding):
            await read(body, "zstd")


async def test_the_loop_runs_while_something_large_is_decoded() -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    assert await read(bomb("gzip", 64), "gzip", limit=64 * MIB) == 64 * MIB
    turning.cancel()

    assert turns > 500  # a thousand pieces, each of them a turn at least


async def test_what_is_small_is_decoded_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("a thread for this")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", never)

    assert await read(gzip.compress(bytes(60_000)), "gzip") == 60_000


async def test_what_is_large_is_decoded_while_the_loops_own_threads_are_busy() -> None:
    released = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, released.wait)

    try:
        assert await asyncio.wait_for(read(bomb("gzip", 1), "gzip", limit=MIB), 30) == MIB
    finally:
        released.set()
        await busy


MEASURE = """
import asyncio, sys
from cortex_core.asgi import Decompression, RequestTooLarge
from cortex_core.asgi.compression.threads import in_thread

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

body, coding = sys.stdin.buffer.read(), sys.argv[1]
parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]

async def app(scope, receive, send):
    while (await receive())["more_body"]:
        pass

async def receive():
    return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

async def main():
    await in_thread(len, b"")  # the thread is there before the measuring
    decompression = Decompression(app, limit=1 << 20)
    scope = {"type": "http", "headers": [(b"content-encoding", coding.encode())]}
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    try:
        await decompression(scope, receive, None)
    except RequestTooLarge:
        print(peak() - before)

asyncio.run(main())
"""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "br, br", "zstd, zstd"])
def test_a_bomb_costs_no_more_than_16_mib(coding: str) -> None:
    first, _, second = coding.partition(", ")
    body = bomb(first, 256)
    if second:
        encode: dict[str, Callable[[bytes], bytes]] = {
            "gzip": gzip.compress,
            "br": brotli.compress,
            "zstd": zstandard.ZstdCompressor().compress,
        }
        body = encode[second](body)

    child = subprocess.run(
        [sys.executable, "-c", MEASURE, coding], input=body, capture_output=True, check=True, timeout=60
    )

    assert 0 <= int(child.stdout) <= 16 * 1024  # KiB; docs/blocks/request-decompression.md has the figures


def test_the_bombs_are_bombs() -> None:
    sizes = {coding: len(bomb(coding, 64)) for coding in ("gzip", "br", "zstd")}

    assert all(size < MIB for size in sizes.values()), sizes


def pieces(body: bytes, decoder: Any) -> Iterator[bytes]:
    for at in range(0, len(body), 65_536):
        yield from decoder.feed(body[at : at + 65_536])


def test_no_piece_is_large() -> None:
    from cortex_core.asgi.compression.decoders import installed_decoders

    for coding, decoder in installed_decoders().items():
        assert max(map(len, pieces(bomb(coding, 64), decoder()))) <= 2 * MIB + 131_072
