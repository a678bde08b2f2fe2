"""The codings, with the extra and without."""

import gzip
import random
import sys
import zlib
from typing import Any

import pytest
import zstandard

from cortex_core.asgi import Decompression
from cortex_core.asgi.compression import installed_codecs
from cortex_core.asgi.compression.codecs import standard_codecs
from cortex_core.asgi.compression.decoders import installed_decoders
from cortex_core.asgi.compression.extra import ZstdEncoder, ZstdPool

TEXT = b"some text that comes again, some text that comes again" * 100


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the `compression` extra."""
    monkeypatch.setitem(sys.modules, "cortex_core.asgi.compression.extra", None)


def test_with_the_extra_there_are_four_in_our_order() -> None:
    assert [codec.name for codec in installed_codecs()] == ["zstd", "br", "gzip", "deflate"]
    assert list(installed_decoders()) == ["gzip", "deflate", "br", "zstd"]


def test_which_and_in_what_order_can_be_said() -> None:
    assert [codec.name for codec in installed_codecs(["gzip", "br"])] == ["gzip", "br"]


def test_a_name_that_is_no_coding_is_refused() -> None:
    with pytest.raises(ValueError, match="names: snappy"):
        installed_codecs(["gzip", "snappy"])


def test_without_the_extra_there_are_two(bare: None) -> None:
    assert [codec.name for codec in installed_codecs()] == ["gzip", "deflate"]
    assert list(installed_decoders()) == ["gzip", "deflate"]


async def test_without_the_extra_nobody_gets_brotli(bare: None, get: Any, says: Any) -> None:
    assert (await get(says(TEXT), "br, zstd, gzip;q=0.5")).coding == "gzip"
    assert (await get(says(TEXT), "br")).coding is None


@pytest.mark.parametrize("codec", [*installed_codecs(), *standard_codecs()], ids=lambda codec: codec.name)
@pytest.mark.parametrize("level", ["normal", "reduced", "best"])
def test_every_level_can_be_decoded_whole_and_streamed(codec: Any, level: str, stream: Any) -> None:
    number = getattr(codec.levels, level)
    encoder = codec.encoder(number)

    streamed = encoder.encode(memoryview(TEXT)) + encoder.flush() + encoder.encode(TEXT) + encoder.finish()

    for encoded, text in ((codec.whole(TEXT, number), TEXT), (streamed, TEXT + TEXT)):
        decoder = stream(codec.name)
        assert decoder.feed(encoded) == text
        assert decoder.ended


@pytest.mark.parametrize("level", [-1, 1, 3, 4, 12, 20])
def test_zstd_asks_no_client_to_look_back_more_than_8_mib(level: int, stream: Any) -> None:
    (codec,) = installed_codecs(["zstd"])
    encoder = codec.encoder(level)

    encoded = encoder.encode(TEXT) + encoder.flush()

    assert zstandard.get_frame_parameters(encoded).window_size <= 8 << 20
    assert stream("zstd").feed(encoded) == TEXT


def test_zstd_finds_no_far_match_in_an_id_that_costs_more_than_it() -> None:
    (codec,) = installed_codecs(["zstd"])
    ids = random.Random(1)
    lines = b"".join(b'{"status": 200, "traceId": "%032x"}\n' % ids.getrandbits(128) for _ in range(8_000))

    ours = codec.whole(lines, codec.levels.normal)

    assert len(ours) < 0.97 * len(zstandard.ZstdCompressor(level=codec.levels.normal).compress(lines))


def test_zstd_asks_its_client_to_look_back_1_mib_at_the_usual_level() -> None:
    (codec,) = installed_codecs(["zstd"])
    encoder = codec.encoder(codec.levels.normal)

    encoded = encoder.encode(TEXT) + encoder.flush()

    assert zstandard.get_frame_parameters(encoded).window_size == 1 << 20


def test_gzip_tells_no_time() -> None:
    for codec in (*installed_codecs(["gzip"]), *standard_codecs()[:1]):
        assert codec.whole(TEXT, 4) == codec.whole(TEXT, 4)
        assert codec.whole(TEXT, 4)[4:8] == bytes(4)


def test_deflate_is_zlibs_format() -> None:
    (codec,) = installed_codecs(["deflate"])
    assert zlib.decompress(codec.whole(TEXT, 4)) == TEXT


@pytest.mark.parametrize(("coding", "body"), [("gzip", gzip.compress(TEXT) * 2), ("deflate", zlib.compress(TEXT * 2))])
async def test_requests_are_decoded_without_the_extra(bare: None, coding: str, body: bytes) -> None:
    got = b""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        more = True
        while more:
            message = await receive()
            got += message["body"]
            more = message["more_body"]

    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "headers": [(b"content-encoding", coding.encode())]}
    await Decompression(app, limit=1 << 20)(scope, receive, receive)  # type: ignore[arg-type]

    assert got == TEXT * 2


class TestCompressorsAtRest:
    def test_one_that_came_to_its_end_is_used_again(self) -> None:
        pool = ZstdPool()
        compressor = pool.take(3)
        pool.give(3, compressor)

        assert pool.take(3) is compressor
        assert pool.take(3) is not compressor

    @pytest.mark.parametrize("way", ["whole", "streamed"])
    def test_a_body_gives_its_compressor_back(self, way: str) -> None:
        pool = ZstdPool()
        compressor = pool.take(3)
        pool.give(3, compressor)

        if way == "whole":
            pool.whole(TEXT, 3)
        else:
            ZstdEncoder(pool, 3).finish()

        assert pool.take(3) is compressor

    def test_each_level_has_its_own(self) -> None:
        pool = ZstdPool()
        compressor = pool.take(3)
        pool.give(3, compressor)

        assert pool.take(1) is not compressor

    def test_after_a_crowd_four_are_left_a_level(self) -> None:
        pool = ZstdPool()
        crowd = [pool.take(3) for _ in range(6)]
        for compressor in crowd:
            pool.give(3, compressor)

        taken = [pool.take(3) for _ in range(6)]

        assert sum(any(each is one for one in crowd) for each in taken) == 4
