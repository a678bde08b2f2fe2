"""What an encoded response says of itself."""

from typing import Any

import pytest

LONG = b"0123456789" * 500
JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("sent", "vary"),
    [
        ([], "Accept-Encoding"),
        ([b"Origin"], "Origin, Accept-Encoding"),
        ([b"Origin", b"Accept"], "Origin, Accept, Accept-Encoding"),
        ([b"origin, accept-encoding"], "origin, accept-encoding"),
        ([b"*"], "*"),
        ([b""], "Accept-Encoding"),
    ],
)
@pytest.mark.parametrize("accept", ["gzip", None])
async def test_vary_is_merged(get: Any, says: Any, sent: list[bytes], vary: str, accept: str | None) -> None:
    answer = await get(says(LONG, headers=[JSON, *((b"Vary", value) for value in sent)]), accept)

    assert answer.headers["vary"] == vary


@pytest.mark.parametrize(("sent", "etag"), [(b'"v1"', 'W/"v1"'), (b'W/"v1"', 'W/"v1"')])
async def test_a_strong_etag_becomes_weak(get: Any, says: Any, sent: bytes, etag: str) -> None:
    app = says(LONG, headers=[JSON, (b"etag", sent)])

    assert (await get(app)).headers["etag"] == etag
    assert (await get(app, None)).headers["etag"] == sent.decode()


@pytest.mark.parametrize(
    ("held", "etag"),
    [
        (b'W/"v1"', 'W/"v1"'),
        (b'"v0", W/"v1"', 'W/"v1"'),
        (b'"v1"', '"v1"'),
        (b'W/"v10"', '"v1"'),
        (b" * ", 'W/"v1"'),
        (b"\xff", '"v1"'),
    ],
)
async def test_a_304_to_who_gets_it_encoded_has_the_etag_that_it_holds(
    get: Any, says: Any, held: bytes, etag: str
) -> None:
    answer = await get(says(b"", status=304, headers=[(b"etag", b'"v1"')]), headers=[(b"if-none-match", held)])

    assert answer.headers == {"etag": etag, "vary": "Accept-Encoding"}


@pytest.mark.parametrize("accept", [None, "br;q=0"])
@pytest.mark.parametrize("held", [b"*", b'W/"v1"'])
async def test_a_304_to_who_gets_nothing_encoded_keeps_its_etag(
    get: Any, says: Any, accept: str | None, held: bytes
) -> None:
    app = says(b"", status=304, headers=[(b"etag", b'"v1"')])

    answer = await get(app, accept, headers=[(b"if-none-match", held)])

    assert answer.headers == {"etag": '"v1"', "vary": "Accept-Encoding"}


FILE = [(b"content-range", b"bytes 0-3/5000"), (b"etag", b'"v1"')]
PARTS = (b"content-type", b"multipart/byteranges; boundary=x")
PICTURE = (b"content-type", b"image/png")


@pytest.mark.parametrize("status", [206, 304])
@pytest.mark.parametrize("accept", ["gzip", None])
@pytest.mark.parametrize(
    ("headers", "vary"),
    [
        ([JSON], "Accept-Encoding"),
        ([PARTS], "Accept-Encoding"),
        ([], "Accept-Encoding"),
        ([JSON, (b"vary", b"Origin")], "Origin, Accept-Encoding"),
        ([PICTURE], None),
        ([JSON, (b"cache-control", b"no-transform")], None),
        ([JSON, (b"content-encoding", b"br")], None),
        ([JSON, (b"repr-digest", b"sha-256=:x:")], None),
    ],
)
async def test_a_part_and_a_304_vary_as_the_200_does(
    get: Any, says: Any, status: int, accept: str | None, headers: Any, vary: str | None
) -> None:
    answer = await get(says(b"part", status=status, headers=[*FILE, *headers]), accept)

    assert answer.headers.get("vary") == vary
    assert (answer.headers["etag"], answer.raw) == ('"v1"', b"part")


@pytest.mark.parametrize("status", [206, 304])
async def test_a_picture_varies_for_who_refuses_it_as_it_is(get: Any, says: Any, status: int) -> None:
    answer = await get(says(b"", status=status, headers=[*FILE, PICTURE]), "gzip, identity;q=0")

    assert answer.headers["vary"] == "Accept-Encoding"


async def test_no_length_and_no_ranges_of_other_bytes_are_left(get: Any, says: Any) -> None:
    headers = [JSON, (b"content-length", b"5000"), (b"accept-ranges", b"bytes")]

    whole = await get(says(LONG, headers=headers))
    streamed = await get(says(LONG[:9], LONG[9:], headers=headers))

    assert whole.headers["content-length"] == str(len(whole.raw))
    assert "content-length" not in streamed.headers
    assert "accept-ranges" not in {*whole.headers, *streamed.headers}
    assert streamed.body == LONG


@pytest.mark.parametrize("value", [b"", b"-1", b"1e3", "٣".encode(), b"9" * 30])
async def test_a_length_that_makes_no_sense_is_none(get: Any, says: Any, value: bytes) -> None:
    assert (await get(says(b"x", b"y", headers=[JSON, (b"content-length", value)]))).body == b"xy"


@pytest.mark.parametrize("headers", [[JSON], [JSON, (b"content-length", b"5000")]])
@pytest.mark.parametrize("body", [LONG, b""])
async def test_head_says_what_get_would(get: Any, says: Any, headers: Any, body: bytes) -> None:
    tagged = [*headers, (b"etag", b'"1"')]
    got = (await get(says(LONG, headers=tagged))).headers

    head = await get(says(body, headers=tagged), method="HEAD")

    got.pop("content-length")  # 9.3.2 lets HEAD leave out what only making the body would tell
    assert head.headers == got
    assert head.raw == b""
    assert len(head.messages) == 2


@pytest.mark.parametrize("headers", [[JSON, (b"content-length", b"2")], [JSON]])
async def test_head_of_a_small_body_says_what_get_would(get: Any, says: Any, headers: Any) -> None:
    app = says(b"ok", headers=headers)

    assert (await get(app, method="HEAD")).headers == (await get(app)).headers


async def test_head_of_a_stream_is_a_head_and_no_body(get: Any, says: Any) -> None:
    answer = await get(says(LONG, LONG, LONG), method="HEAD")

    assert (answer.coding, answer.parts) == ("gzip", [b"", b"", b""])
    assert "content-length" not in answer.headers
