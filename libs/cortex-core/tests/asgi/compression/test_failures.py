"""What goes wrong: a body that did not end does not end well, and nothing is held for who has gone."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from cortex_core.asgi import Compression, Load, Precompressed
from cortex_core.asgi.compression import Codec, Levels, installed_codecs

JSON = (b"content-type", b"application/json")
CODINGS = ["zstd", "br", "gzip", "deflate"]


def breaks_off(*parts: bytes, headers: Any = (JSON,), error: type[BaseException] = ValueError) -> Any:
    """An application that fails behind `parts`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        raise error("in the middle")

    return app


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_error_in_the_middle_leaves_the_body_without_an_end(
    get: Any, answer: Any, stream: Any, coding: str
) -> None:
    with pytest.raises(ValueError, match="in the middle"):
        await get(breaks_off(b"x" * 5000), coding, into=answer)

    decoder = stream(coding)
    assert decoder.feed(answer.raw) == b"x" * 5000
    assert not decoder.ended
    assert answer.messages[-1]["more_body"] is True


async def test_an_error_before_the_first_byte_leaves_the_answer_to_others(get: Any, answer: Any) -> None:
    with pytest.raises(ValueError, match="in the middle"):
        await get(breaks_off(), into=answer)

    assert answer.messages == []


async def test_an_error_while_a_body_is_collected_leaves_the_answer_to_others(get: Any, answer: Any) -> None:
    headers = [JSON, (b"cache-control", b"immutable"), (b"content-length", b"5000")]

    with pytest.raises(ValueError, match="in the middle"):
        await get(breaks_off(b"x" * 4000, headers=headers), precompressed=Precompressed(), into=answer)

    assert answer.messages == []


async def test_an_application_that_just_stops_leaves_the_body_without_an_end(get: Any, stream: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    got = await get(app)

    decoder = stream("gzip")
    assert decoder.feed(got.raw) == b"x"
    assert not decoder.ended


async def test_a_head_without_a_body_goes_out_all_the_same(get: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})

    assert [each["type"] for each in (await get(app)).messages] == ["http.response.start"]


async def test_an_application_that_sends_nothing_sends_nothing(get: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert (await get(app)).messages == []


@pytest.mark.parametrize("parts", [[b"x" * 4000], [b"x" * 6000], [b"x" * 4000, b"x" * 500], [b"x" * 4000, b"x" * 2000]])
@pytest.mark.parametrize("options", [{}, {"precompressed": Precompressed(applies=lambda scope, headers: True)}])
async def test_a_body_that_is_not_as_long_as_declared_does_not_end_well(
    get: Any, says: Any, answer: Any, parts: list[bytes], options: Any
) -> None:
    with pytest.raises(RuntimeError, match=r"Content-Length of 5000"):
        await get(says(*parts, headers=[JSON, (b"content-length", b"5000")]), into=answer, **options)

    assert all(each.get("more_body", True) for each in answer.messages)


class Held:
    """A coding whose compressors can be counted."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def codec(self) -> Codec:
        (gzip,) = installed_codecs(["gzip"])

        class Encoder:
            def __init__(self, inner: Any) -> None:
                self.encode, self.flush, self.finish = inner.encode, inner.flush, inner.finish

        def opened(level: int) -> Any:
            encoder = Encoder(gzip.encoder(level))
            self.alive.add(encoder)
            return encoder

        return Codec("gzip", Levels(1, 1, 1), opened, gzip.whole)


@pytest.mark.parametrize("size", [5_000, 500_000])
async def test_a_client_that_leaves_takes_its_compressor_along(get: Any, answer: Any, size: int) -> None:
    held, reached, kept = Held(), asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(send)  # a framework may hold on to it
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        reached.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(get(app, codecs=[held.codec()], into=answer))
    await reached.wait()
    assert len(held.alive) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gc.collect()

    assert len(held.alive) == 0


async def test_an_unfinished_zstd_compressor_is_not_used_again(get: Any, says: Any, answer: Any) -> None:
    codecs = installed_codecs(["zstd"])
    with pytest.raises(ValueError, match="in the middle"):
        await get(breaks_off(b"secret of one client" * 50), "zstd", codecs=codecs, into=answer)

    again = await get(says(b"for another", b"", b"client"), "zstd", codecs=codecs)

    assert again.body == b"for anotherclient"


@pytest.mark.parametrize("coding", CODINGS)
def test_compressors_that_came_to_their_end_serve_again_beside_one_another(stream: Any, coding: str) -> None:
    (codec,) = installed_codecs([coding])
    for _ in range(3):
        beside = [codec.encoder(codec.levels.normal) for _ in range(6)]
        encoded = [bytearray() for _ in beside]
        for turn in (b"some", b"more", b"of it"):
            for number, encoder in enumerate(beside):
                encoded[number] += encoder.encode(turn * number) + encoder.flush()
        for number, encoder in enumerate(beside):
            encoded[number] += encoder.finish()

        for number, each in enumerate(encoded):
            decoder = stream(coding)
            assert decoder.feed(bytes(each)) == b"some" * number + b"more" * number + b"of it" * number
            assert decoder.ended


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_through(kind: str) -> None:
    seen = []

    async def app(*args: Any) -> None:
        seen.append(args)

    scope, receive, send = {"type": kind}, object(), object()
    await Compression(app)(scope, receive, send)  # type: ignore[arg-type]

    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"codecs": []}, "codecs"),
        ({"threshold": -1}, "threshold"),
        ({"off_loop": -1}, "off_loop"),
    ],
)
def test_bad_construction_names_the_argument(options: Any, names: str) -> None:
    async def app(*args: Any) -> None: ...

    with pytest.raises(ValueError, match=names):
        Compression(app, **options)


async def test_what_became_of_a_response_is_told(get: Any, says: Any, answer: Any) -> None:
    told: list[Any] = []
    await get(says(b"x" * 5000), on_response=told.append)
    await get(says(b"x" * 50, b"y" * 50), "br", on_response=told.append, pressure=lambda: Load.REDUCED)
    with pytest.raises(ValueError, match="in the middle"):
        await get(breaks_off(b"x" * 50), into=answer, on_response=told.append)
    await get(says(b"x"), on_response=told.append)  # too small
    await get(says(b"x" * 5000), method="HEAD", on_response=told.append)

    assert [(each.coding, each.load, each.size_in, each.complete) for each in told] == [
        ("gzip", Load.NORMAL, 5000, True),
        ("br", Load.REDUCED, 100, True),
        ("gzip", Load.NORMAL, 50, False),
    ]
    assert 0 < told[0].size_out < 100
    assert not told[0].kept
    assert (told[0].level, told[1].level) == (5, 1)
