"""What never changes is compressed once."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi import Load, Precompressed
from cortex_core.asgi.compression import Codec, Levels

LONG = b"0123456789" * 500
TYPE = (b"content-type", b"text/css")
FOREVER = (b"cache-control", b"public, max-age=31536000, Immutable")
SIZED = (b"content-length", b"5000")


class Counted:
    """A coding that only counts, and can be held up."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.codec = Codec("gzip", Levels(4, 2, 9), lambda level: self, self.whole)

    def whole(self, body: bytes, level: int) -> bytes:
        self.levels.append(level)
        return b"%d:%d" % (level, len(body))

    def encode(self, data: Any) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""

    finish = flush


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def kept() -> Precompressed:
    return Precompressed()


@pytest.fixture
def ask(get: Any, says: Any, counted: Counted, kept: Precompressed) -> Any:
    async def asks(*parts: bytes, headers: Any = (TYPE, FOREVER, SIZED), accept: str = "gzip", **options: Any) -> Any:
        return await get(says(*parts, headers=headers), accept, codecs=[counted.codec], precompressed=kept, **options)

    return asks


@pytest.mark.parametrize("parts", [[LONG], [LONG[:2000], LONG[2000:4000], LONG[4000:]]])
async def test_an_immutable_body_is_compressed_once_at_the_best_level(ask: Any, counted: Counted, parts: Any) -> None:
    told: list[Any] = []
    answers = [await ask(*parts, on_response=told.append) for _ in range(3)]

    assert counted.levels == [9]
    assert [each.raw for each in answers] == [b"9:5000"] * 3
    assert [each.headers["content-length"] for each in answers] == ["6"] * 3
    assert [each.kept for each in told] == [False, True, True]


async def test_whoever_sends_the_same_bytes_shares_them(ask: Any, counted: Counted) -> None:
    await ask(LONG, headers=[TYPE, FOREVER, (b"etag", b'"a"')])
    await ask(LONG, headers=[TYPE, FOREVER, (b"etag", b'"b"')])

    assert counted.levels == [9]


async def test_the_same_address_with_other_bytes_does_not(ask: Any, counted: Counted) -> None:
    await ask(LONG)
    await ask(LONG[::-1])

    assert counted.levels == [9, 9]


@pytest.mark.parametrize(
    "headers", [[TYPE], [TYPE, (b"cache-control", b"max-age=60")], [TYPE, (b"x-cache-control", b"immutable")]]
)
async def test_what_may_change_is_not_kept(ask: Any, counted: Counted, kept: Precompressed, headers: Any) -> None:
    await ask(LONG, headers=headers)

    assert (counted.levels, len(kept)) == ([4], 0)


async def test_what_is_kept_can_be_said(get: Any, says: Any, counted: Counted) -> None:
    kept = Precompressed(
        applies=lambda scope, headers: scope["path"] == "/" and (b"content-type", b"text/css") in headers
    )

    await get(says(LONG, headers=[TYPE]), codecs=[counted.codec], precompressed=kept)

    assert len(kept) == 1


@pytest.mark.parametrize("parts", [[LONG[:9], LONG[9:]]])
async def test_a_stream_of_unknown_length_is_not_collected(ask: Any, kept: Precompressed, parts: Any) -> None:
    answer = await ask(*parts, headers=[TYPE, FOREVER])

    assert (len(kept), answer.raw) == (0, LONG)


@pytest.mark.parametrize(("size", "kept_ones"), [(5000, 1), (4999, 0)])
async def test_what_is_larger_than_an_entry_may_be_is_not_collected(
    get: Any, says: Any, counted: Counted, size: int, kept_ones: int
) -> None:
    kept = Precompressed(max_body=size)

    await get(says(LONG, headers=[TYPE, FOREVER]), codecs=[counted.codec], precompressed=kept)

    assert len(kept) == kept_ones


async def test_while_one_makes_it_the_others_do_not(ask: Any, counted: Counted) -> None:
    answers = await asyncio.gather(*(ask(LONG) for _ in range(4)))

    assert sorted(counted.levels) == [4, 4, 4, 9]
    assert {each.raw for each in answers} == {b"4:5000", b"9:5000"}


@pytest.mark.parametrize(("load", "level"), [(Load.REDUCED, 2)])
async def test_under_pressure_nothing_is_made_to_be_kept(
    ask: Any, counted: Counted, kept: Precompressed, load: Load, level: int
) -> None:
    await ask(LONG, pressure=lambda: load)

    assert (counted.levels, len(kept)) == ([level], 0)


async def test_under_much_pressure_what_is_kept_is_sent_and_what_is_not_goes_out_as_it_is(ask: Any) -> None:
    told: list[Any] = []
    plain = await ask(LONG, pressure=lambda: Load.OFF, on_response=told.append)
    await ask(LONG)

    hit = await ask(LONG, pressure=lambda: Load.OFF)

    assert (plain.coding, plain.raw, plain.headers["vary"], told) == (None, LONG, "Accept-Encoding", [])
    assert (hit.coding, hit.raw) == ("gzip", b"9:5000")


async def test_under_much_pressure_who_refuses_identity_gets_the_quickest(ask: Any, counted: Counted) -> None:
    answer = await ask(LONG, accept="identity;q=0, gzip", pressure=lambda: Load.OFF)

    assert (answer.raw, counted.levels) == (b"2:5000", [2])


async def test_one_that_fails_to_make_it_leaves_it_to_the_next(ask: Any, counted: Counted, kept: Precompressed) -> None:
    def fails(body: bytes, level: int) -> bytes:
        raise MemoryError

    good = counted.codec
    counted.codec = Codec("gzip", good.levels, good.encoder, fails)
    with pytest.raises(MemoryError):
        await ask(LONG)
    counted.codec = good

    assert (await ask(LONG)).raw == b"9:5000"


async def test_trailers_follow(get: Any, kept: Precompressed) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [TYPE, FOREVER], "trailers": True})
        await send({"type": "http.response.body", "body": LONG})
        await send({"type": "http.response.trailers", "headers": []})

    answer = await get(app, precompressed=kept)

    assert answer.messages[-1]["type"] == "http.response.trailers"
    assert answer.body == LONG


class TestBounds:
    def test_the_least_recently_used_goes(self) -> None:
        kept = Precompressed(max_bytes=3_000, max_body=1_000)
        for name in ("a", "b"):
            kept.put((name, b""), b"x" * 1_000)
        kept.get(("a", b""))

        kept.put(("c", b""), b"x" * 1_000)

        assert [bool(kept.get((name, b""))) for name in ("a", "b", "c")] == [True, False, True]
        assert kept.size == 2_400

    def test_the_same_again_counts_once(self) -> None:
        kept = Precompressed(max_bytes=3_000, max_body=1_000)
        for size in (1_000, 900):
            kept.put(("a", b""), b"x" * size)

        assert (len(kept), kept.size) == (1, 1_100)

    def test_what_never_fits_is_not_kept_and_nothing_goes_for_it(self) -> None:
        kept = Precompressed(max_bytes=3_000, max_body=1_000)
        kept.put(("a", b""), b"x")
        kept.put(("b", b""), b"x" * 2_801)

        assert len(kept) == 1
        kept.put(("b", b""), b"x" * 2_800)
        assert [kept.get((name, b"")) is not None for name in ("a", "b")] == [False, True]

    @pytest.mark.parametrize("options", [{"max_body": 0}, {"max_body": 20, "max_bytes": 10}])
    def test_bad_construction_names_the_argument(self, options: Any) -> None:
        with pytest.raises(ValueError, match="max_body"):
            Precompressed(**options)
