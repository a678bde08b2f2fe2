"""Which responses are encoded, and what is said of those that are not."""

import json
from typing import Any

import pytest

from cortex_core.asgi.compression import Precompressed, compressible

LONG = b'{"orderId":"ord_1","status":"completed"},' * 100
JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream; charset=utf-8")


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip", "deflate"])
async def test_a_body_arrives_as_it_was_sent(get: Any, says: Any, coding: str) -> None:
    answer = await get(says(LONG), coding)

    assert answer.coding == coding
    assert answer.body == LONG
    assert len(answer.raw) < len(LONG) / 10
    assert answer.headers["content-length"] == str(len(answer.raw))
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accept", [None, "", "identity", "gzip;q=0", "compress"])
async def test_who_wants_none_gets_none_and_caches_are_told(get: Any, says: Any, accept: str | None) -> None:
    answer = await get(says(LONG), accept)

    assert (answer.coding, answer.raw) == (None, LONG)
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_several_lines_of_the_header_are_one_list(get: Any, says: Any) -> None:
    assert (await get(says(LONG), "gzip;q=0.5", headers=[(b"accept-encoding", b"br")])).coding == "br"


@pytest.mark.parametrize(("size", "encoded"), [(1023, False), (1024, True)])
async def test_the_threshold_is_the_body_in_one_message(get: Any, says: Any, size: int, encoded: bool) -> None:
    answer = await get(says(b"x" * size))

    assert (answer.coding == "gzip") == encoded
    assert ("vary" in answer.headers) == encoded  # below, nobody would get it otherwise


@pytest.mark.parametrize(("size", "encoded"), [(1023, False), (1024, True)])
async def test_the_threshold_is_the_declared_length(get: Any, says: Any, size: int, encoded: bool) -> None:
    body = b"x" * size

    answer = await get(says(body[:9], body[9:], headers=[JSON, (b"content-length", b"%d" % size)]))

    assert (answer.coding == "gzip") == encoded
    assert answer.body == body


async def test_a_stream_of_unknown_length_is_encoded_however_little_it_begins_with(get: Any, says: Any) -> None:
    answer = await get(says(b"x", b"y"))

    assert (answer.coding, answer.body) == ("gzip", b"xy")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("accept", ["identity;q=0, gzip", "*;q=0, gzip"])
async def test_who_refuses_identity_gets_anything_encoded(get: Any, says: Any, accept: str) -> None:
    small = await get(says(b"ok"), accept)
    picture = await get(says(LONG, headers=[(b"content-type", b"image/jpeg")]), accept)
    untyped = await get(says(LONG, headers=[]), accept)

    assert [each.coding for each in (small, picture, untyped)] == ["gzip"] * 3
    assert (small.body, picture.body) == (b"ok", LONG)
    assert small.headers["vary"] == "Accept-Encoding"


async def test_who_refuses_identity_gets_no_body_as_it_is(get: Any, says: Any) -> None:
    answer = await get(says(b""), "identity;q=0, gzip")

    assert (answer.coding, answer.raw) == (None, b"")


@pytest.mark.parametrize("accept", ["identity;q=0", "*;q=0", "compress, *;q=0"])
async def test_who_refuses_everything_is_refused_before_anything_is_done(get: Any, accept: str) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("called")

    answer = await get(never, accept)

    assert answer.status == 406
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.raw))
    assert answer.headers["vary"] == "Accept-Encoding"
    assert json.loads(answer.raw) == {
        "type": "urn:cortex:problem:response.not-acceptable",
        "title": "Not Acceptable",
        "status": 406,
        "detail": "Accept-Encoding refuses every coding that there is, and none",
        "instance": "/",
        "code": "response.not-acceptable",
        "traceId": None,
    }


class TestHttp10:
    """It knows no chunks (RFC 9112, section 6.1): what would lose its length goes out as it is."""

    @pytest.mark.parametrize("accept", ["gzip", "gzip, identity;q=0"])
    @pytest.mark.parametrize(("parts", "off_loop"), [([LONG, LONG], 128 * 1024), ([LONG * 2], 1000)])
    async def test_a_stream_is_not_encoded(
        self, get: Any, says: Any, accept: str, parts: list[bytes], off_loop: int
    ) -> None:
        headers = [JSON, (b"content-length", b"%d" % (2 * len(LONG))), (b"etag", b'"1"')]

        answer = await get(says(*parts, headers=headers), accept, version="1.0", off_loop=off_loop)

        assert answer.headers == {
            "content-type": "application/json",
            "content-length": str(2 * len(LONG)),
            "etag": '"1"',
            "vary": "Accept-Encoding",
        }
        assert answer.parts == parts

    async def test_a_body_in_one_piece_is_encoded(self, get: Any, says: Any) -> None:
        answer = await get(says(LONG), version="1.0")

        assert (answer.coding, answer.body) == ("gzip", LONG)
        assert answer.headers["content-length"] == str(len(answer.raw))

    async def test_a_body_that_is_kept_is_encoded(self, get: Any, says: Any) -> None:
        headers = [JSON, (b"content-length", b"%d" % (2 * len(LONG))), (b"cache-control", b"immutable")]

        answer = await get(says(LONG, LONG, headers=headers), version="1.0", precompressed=Precompressed())

        assert (answer.coding, answer.body) == ("gzip", LONG * 2)
        assert answer.headers["content-length"] == str(len(answer.raw))

    async def test_head_is_answered_as_in_1_1(self, get: Any, says: Any) -> None:
        answer = await get(says(LONG, LONG), method="HEAD", version="1.0")

        assert (answer.coding, answer.raw) == ("gzip", b"")


@pytest.mark.parametrize(
    "media",
    [
        *("text/html; charset=utf-8", "TEXT/CSV", "application/json", "application/problem+json", "application/xml"),
        *("application/javascript", "text/javascript", "image/svg+xml", "application/wasm", "application/x-ndjson"),
        *("application/manifest+json", "font/ttf", "application/rss+xml"),
    ],
)
def test_what_shrinks(media: str) -> None:
    assert compressible(media)


@pytest.mark.parametrize(
    "media",
    [
        *("image/jpeg", "image/png", "video/mp4", "audio/mpeg", "application/zip", "application/gzip", "font/woff2"),
        *("application/octet-stream", "text/event-stream", "", "json", "application/grpc", "x-font/ttf"),
    ],
)
def test_what_does_not(media: str) -> None:
    assert not compressible(media)


@pytest.mark.parametrize("headers", [[(b"content-type", b"image/jpeg")], []])
async def test_other_media_are_left_alone(get: Any, says: Any, headers: Any) -> None:
    answer = await get(says(LONG, headers=headers))

    assert (answer.raw, answer.headers) == (LONG, {k.decode(): v.decode() for k, v in headers})


async def test_which_media_can_be_said(get: Any, says: Any) -> None:
    answer = await get(says(LONG, headers=[(b"content-type", b"image/bmp")]), content_types={"image/bmp"}.__contains__)

    assert answer.coding == "gzip"


async def test_events_are_left_alone(get: Any, says: Any) -> None:
    answer = await get(says(b"data: 1\n\n", b"data: 2\n\n", headers=[SSE]))

    assert answer.parts == [b"data: 1\n\n", b"data: 2\n\n"]
    assert "vary" not in answer.headers


async def test_events_can_be_encoded_each_for_itself(get: Any, says: Any, stream: Any) -> None:
    answer = await get(says(b"data: 1\n\n", b"data: 2\n\n", headers=[SSE]), events=True)

    decoder = stream(answer.coding)
    assert [decoder.feed(part) for part in answer.parts] == [b"data: 1\n\n", b"data: 2\n\n"]
    assert (await get(says(LONG), events=True)).coding == "gzip"


@pytest.mark.parametrize(
    "header",
    [
        (b"content-encoding", b"br"),
        (b"content-encoding", b"gzip, br"),
        (b"content-range", b"bytes 0-9/100"),
        (b"cache-control", b"max-age=60, No-Transform"),
        (b"content-digest", b"sha-256=:AAAA:"),
        (b"repr-digest", b"sha-256=:AAAA:"),
        (b"digest", b"sha-256=AAAA"),
        (b"content-md5", b"AAAA"),
        (b"signature", b"sig1=:AAAA:"),
    ],
)
@pytest.mark.parametrize("accept", ["gzip", "identity;q=0, gzip"])
async def test_what_is_not_ours_to_change_goes_out_as_it_is(get: Any, says: Any, header: Any, accept: str) -> None:
    sent = [JSON, (b"etag", b'"1"'), header]

    answer = await get(says(LONG, headers=sent), accept)

    assert answer.start["headers"] == sent
    assert answer.raw == LONG


@pytest.mark.parametrize("status", [204, 205, 206, 304])
async def test_a_status_without_content_of_its_own_goes_out_as_it_is(get: Any, says: Any, status: int) -> None:
    answer = await get(says(LONG, status=status))

    assert answer.coding is None
    assert answer.raw == LONG


@pytest.mark.parametrize("status", [200, 201, 404, 422, 500])
async def test_errors_are_encoded_like_any_answer(get: Any, says: Any, status: int) -> None:
    answer = await get(says(LONG, status=status))

    assert (answer.status, answer.coding, answer.body) == (status, "gzip", LONG)


@pytest.mark.parametrize("value", [b"identity", b" Identity ", b""])
async def test_identity_is_no_coding(get: Any, says: Any, value: bytes) -> None:
    answer = await get(says(LONG, headers=[JSON, (b"content-encoding", value)]))

    assert (answer.coding, answer.body) == ("gzip", LONG)
