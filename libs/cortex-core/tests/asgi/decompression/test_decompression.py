"""A request's body arrives decoded, whole or not at all."""

import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import BadEncoding, Decompression, RequestTooLarge, UnsupportedEncoding

ENCODE: dict[str, Any] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
BODY = b'{"sku":"A-1","quantity":2},' * 4_000
LIMIT = 1 << 20


class Seen:
    """An application that reads everything."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.pieces: list[bytes] = []
        self.after: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        more = True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            self.pieces.append(message["body"])
            more = message["more_body"]
        self.after = (await receive())["type"]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


async def post(*chunks: bytes, coding: str | None = "gzip", limit: int = LIMIT, **options: Any) -> Seen:
    """What the application saw of `chunks`."""
    seen = Seen()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % sum(map(len, chunks)))]
    if coding is not None:
        headers.append((b"content-encoding", coding.encode("latin-1")))

    async def messages() -> AsyncIterator[Any]:
        for number, chunk in enumerate(chunks, start=1):
            yield {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        yield {"type": "http.disconnect"}

    incoming = messages()

    async def receive() -> Any:
        return await anext(incoming)

    async def send(message: Any) -> None: ...

    await Decompression(seen, limit=limit, **options)({"type": "http", "headers": headers}, receive, send)
    return seen


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_body_is_decoded(coding: str) -> None:
    seen = await post(ENCODE[coding](BODY), coding=coding)

    assert seen.body == BODY
    assert seen.after == "http.disconnect"


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_body_is_decoded_however_it_is_cut(coding: str) -> None:
    encoded = ENCODE[coding](BODY)

    assert (await post(*(encoded[at : at + 1] for at in range(len(encoded))), coding=coding)).body == BODY


async def test_the_application_sees_no_coding_and_no_length() -> None:
    assert (await post(gzip.compress(BODY))).scope["headers"] == [(b"content-type", b"application/json")]


@pytest.mark.parametrize("coding", [None, "", "identity", " , Identity"])
async def test_a_body_without_a_coding_is_left_alone(coding: str | None) -> None:
    seen = await post(BODY, coding=coding, limit=1)

    assert seen.pieces == [BODY]
    assert (b"content-length", b"%d" % len(BODY)) in seen.scope["headers"]


@pytest.mark.parametrize("coding", ["GZIP", "x-gzip", "identity, gzip"])
async def test_a_coding_has_several_spellings(coding: str) -> None:
    assert (await post(gzip.compress(BODY), coding=coding)).body == BODY


@pytest.mark.parametrize("outer", ENCODE)
@pytest.mark.parametrize("inner", ENCODE)
async def test_two_codings_are_undone_from_the_outside(inner: str, outer: str) -> None:
    encoded = ENCODE[outer](ENCODE[inner](BODY))

    assert (await post(encoded[:50], encoded[50:], coding=f"{inner}, {outer}")).body == BODY


@pytest.mark.parametrize(
    ("coding", "says"),
    [
        ("compress", "'compress' is not decoded"),
        ("gzip, snappy", "'snappy' is not"),
        ("gzip, gzip, gzip", "3 codings are too many"),
        ("\x00ÿ;q=1", "is not decoded"),
        ("a" * 5_000, "'" + "a" * 40 + "' is"),
    ],
)
async def test_what_is_not_decoded_here_is_refused_with_what_is(coding: str, says: str) -> None:
    with pytest.raises(UnsupportedEncoding, match=says) as refused:
        await post(BODY, coding=coding)

    assert refused.value.response_headers == {"Accept-Encoding": "gzip, deflate, br, zstd"}
    assert refused.value.details == {"accepted": ["gzip", "deflate", "br", "zstd"]}
    assert (refused.value.code, refused.value.kind) == ("request.unsupported-encoding", "unsupported-media")


async def test_what_nobody_reads_is_not_refused() -> None:
    reached = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True

    async def never(*_: Any) -> Any:
        raise AssertionError("read")

    for coding in (b"compress", b"gzip"):
        await Decompression(app, limit=9)({"type": "http", "headers": [(b"content-encoding", coding)]}, never, never)
        assert reached


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_body_cut_short_is_refused(coding: str) -> None:
    encoded = ENCODE[coding](BODY)

    for cut in {1, 2, 5, len(encoded) // 2, len(encoded) - 1}:
        with pytest.raises(BadEncoding, match="ends too early"):
            await post(encoded[:cut], coding=coding)


@pytest.mark.parametrize("coding", ENCODE)
@pytest.mark.parametrize("separately", [True, False])
async def test_a_body_with_something_behind_it_is_refused(coding: str, separately: bool) -> None:
    parts = [ENCODE[coding](BODY), b"and more"]

    with pytest.raises(BadEncoding):
        await post(*(parts if separately else [b"".join(parts)]), coding=coding)


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_body_that_is_something_else_is_refused(coding: str) -> None:
    with pytest.raises(BadEncoding, match="not what its Content-Encoding says") as refused:
        await post(b"\x07\x07{}" * 50, coding=coding)

    assert (refused.value.code, refused.value.kind) == ("request.bad-encoding", "invalid")


async def test_a_checksum_that_is_wrong_is_refused() -> None:
    encoded = bytearray(gzip.compress(BODY))
    encoded[-6] ^= 1

    with pytest.raises(BadEncoding):
        await post(bytes(encoded))


async def test_deflate_without_its_wrapper_is_refused() -> None:
    bare = zlib.compressobj(wbits=-15)

    with pytest.raises(BadEncoding):
        await post(bare.compress(BODY) + bare.flush(), coding="deflate")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("separately", [True, False])
async def test_several_members_are_one_body(coding: str, separately: bool) -> None:
    parts = [ENCODE[coding](BODY), ENCODE[coding](b""), ENCODE[coding](b"more")]

    assert (await post(*(parts if separately else [b"".join(parts)]), coding=coding)).body == BODY + b"more"


@pytest.mark.parametrize("coding", [*ENCODE, "gzip, br"])
async def test_no_body_is_an_empty_body(coding: str) -> None:
    assert (await post(b"", coding=coding)).pieces == [b""]


async def test_a_client_that_leaves_is_reported() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    seen: list[str] = []
    scope = {"type": "http", "headers": [(b"content-encoding", b"gzip")]}
    await Decompression(app, limit=9)(scope, gone, gone)  # type: ignore[arg-type]

    assert seen == ["http.disconnect"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_through(kind: str) -> None:
    seen = []

    async def app(*args: Any) -> None:
        seen.append(args)

    args = ({"type": kind}, object(), object())
    await Decompression(app, limit=1)(*args)  # type: ignore[arg-type]

    assert seen == [args]


@pytest.mark.parametrize(("options", "names"), [({"limit": 0}, "limit"), ({"limit": 1, "ratio": 0}, "ratio")])
def test_bad_construction_names_the_argument(options: Any, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        Decompression(Seen(), **options)


MUTATED = st.builds(
    lambda coding, body, at, byte, cut: (
        coding,
        (bytes([*(e := ENCODE[coding](body))[: at % len(e)], byte]) + e[at % len(e) + 1 :])[:cut],
    ),
    st.sampled_from(list(ENCODE)),
    st.binary(max_size=300),
    st.integers(0, 10_000),
    st.integers(0, 255),
    st.integers(0, 400),
)


@given(st.one_of(MUTATED, st.tuples(st.sampled_from(list(ENCODE)), st.binary(max_size=200))))
async def test_no_body_raises_anything_but_a_refusal(sent: tuple[str, bytes]) -> None:
    coding, body = sent
    with contextlib.suppress(BadEncoding, RequestTooLarge):
        await post(body[:20], body[20:], coding=coding)


@given(st.text(alphabet=st.characters(max_codepoint=255)))
async def test_no_header_raises_anything_but_a_refusal(coding: str) -> None:
    with contextlib.suppress(BadEncoding, UnsupportedEncoding):
        await post(b"x", coding=coding)
