"""The express lane's compression does what the middleware does: the same heads, and bodies that decode to the same."""

import zlib
from typing import Any, Final

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import Compression
from cortex_core.asgi.compression import CompressionDetails, Load, Precompressed
from cortex_core.testing import eventually
from cortex_core.testing.exchange import exchange
from cortex_gateway.dataplane.encoding import Encoded, Encoder, lines_of, pairs_of
from cortex_gateway.ports import Head

THRESHOLD: Final = 100
TYPES: Final = [
    b"application/json",
    b"image/png",
    b"text/event-stream",
    b"application/problem+json; charset=utf-8",
    b"",
]
MORE: Final[list[list[tuple[bytes, bytes]]]] = [
    [],
    [(b"ETag", b'"v1"')],
    [(b"ETag", b'W/"v1"'), (b"Accept-Ranges", b"bytes")],
    [(b"Content-Encoding", b"gzip")],
    [(b"Content-Encoding", b"identity")],
    [(b"Cache-Control", b"public, no-transform")],
    [(b"Vary", b"Origin"), (b"Vary", b"accept")],
    [(b"Vary", b"*")],
    [(b"Repr-Digest", b"sha-256=:x:")],
    [(b"Content-Range", b"bytes 0-1/9")],
]
ACCEPTED: Final = [
    None,
    "gzip",
    "br;q=0.5, gzip;q=0.4",
    "zstd",
    "identity",
    "gzip, *;q=0",
    "deflate, identity;q=0",
    "x",
]
LENGTHS: Final = [0, 1, THRESHOLD - 1, THRESHOLD, 5000]


def decoded(data: bytes, coding: str | None) -> bytes:
    if not data or coding in {None, "identity"}:
        return data
    if coding in {"gzip", "deflate"}:
        return zlib.decompressobj(31 if coding == "gzip" else 15).decompress(data)
    return brotli.decompress(data) if coding == "br" else zstandard.ZstdDecompressor().decompressobj().decompress(data)


async def by_middleware(
    status: int, fields: Any, body: list[bytes], asked: dict[str, str], method: str, load: Load, version: str
) -> Any:
    async def service(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": fields})
        for number, part in enumerate(body, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(body)})

    application = Compression(service, threshold=THRESHOLD, pressure=lambda: load)
    return await exchange(application, method, "/", asked.items(), http_version=version)


@given(
    status=st.sampled_from([200, 201, 204, 206, 304, 404]),
    media=st.sampled_from(TYPES),
    more=st.sampled_from(MORE),
    length=st.sampled_from(LENGTHS),
    declared=st.booleans(),
    parts=st.integers(1, 3),
    accepted=st.sampled_from(ACCEPTED),
    held=st.sampled_from([None, '"v1"', 'W/"v1"', "*"]),
    method=st.sampled_from(["GET", "HEAD"]),
    load=st.sampled_from([Load.NORMAL, Load.REDUCED, Load.OFF]),
    version=st.sampled_from(["1.1", "1.0"]),
)
async def test_it_does_what_the_middleware_does(
    status: int,
    media: bytes,
    more: list[tuple[bytes, bytes]],
    length: int,
    declared: bool,
    parts: int,
    accepted: str | None,
    held: str | None,
    method: str,
    load: Load,
    version: str,
) -> None:
    whole = b"ab" * length if status not in {204, 304} else b""
    sent = b"" if method == "HEAD" else whole
    pieces = [sent] if declared else [sent[i::parts] for i in range(parts)]
    fields = [(b"Content-Type", media)] if media else []
    fields += more
    if declared and status != 304:
        fields.append((b"Content-Length", b"%d" % len(whole)))
    asked = {name: value for name, value in (("Accept-Encoding", accepted), ("If-None-Match", held)) if value}
    theirs = await by_middleware(status, fields, pieces, asked, method, load, version)

    lines = lines_of(fields)
    no_body = method == "HEAD" or status in {204, 304}
    head = Head(status, lines, lines.lower(), 0 if no_body else len(sent) if declared else None)
    encoding = Encoder(threshold=THRESHOLD, pressure=lambda: load).begin(
        accepted.encode() if accepted else None,
        head,
        method.encode(),
        held=(held or "").encode(),
        old=version == "1.0",
    )

    if theirs.status == 406:
        return  # before it is forwarded: `choice` tells
    ours, body = fields, b"".join(pieces)
    if encoding is not None:
        if not no_body:
            body = encoding.whole(body) if declared else b"".join([*map(encoding.write, pieces), encoding.finish()])
        ours = pairs_of(encoding.fields)
    if not declared and parts == 1:
        return  # the middleware sees that it is whole, and the connection does not
    assert _lower(ours) == _lower(theirs.headers)
    coding = dict(_lower(ours)).get(b"content-encoding", b"").decode() if encoding and encoding.coding else None
    assert decoded(body, coding) == decoded(theirs.body, coding)


def _lower(pairs: Any) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in pairs]
    encoded = any(name == b"content-encoding" for name, _ in lowered)
    return sorted(pair for pair in lowered if not (encoded and pair[0] == b"content-length"))


def test_every_part_can_be_decoded_when_it_is_out() -> None:
    head = Head(200, b"content-type: application/x-ndjson\r\n", b"content-type: application/x-ndjson\r\n", None)
    encoding = Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL).begin(b"gzip", head, b"GET")
    assert encoding is not None
    client = zlib.decompressobj(31)

    assert [client.decompress(encoding.write(part)) for part in (b"one\n", b"two\n")] == [b"one\n", b"two\n"]

    client.decompress(encoding.finish())
    assert client.eof


def test_a_whole_body_has_a_length() -> None:
    lines = b"content-type: application/json\r\ncontent-length: 2000\r\n"
    encoding = Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL).begin(
        b"gzip", Head(200, lines, lines, 2000), b"GET"
    )
    assert encoding is not None

    body = encoding.whole(b"x" * 2000)

    assert encoding.length == len(body)
    assert dict(pairs_of(encoding.fields))[b"content-length"] == b"%d" % len(body)


def test_a_small_answer_is_not_looked_at() -> None:
    encoder = Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL)

    assert encoder.begin(b"gzip", Head(200, b"", b"", THRESHOLD - 1), b"GET") is None


@pytest.mark.parametrize("finished", [True, False])
def test_it_reports_once(finished: bool) -> None:
    reports: list[CompressionDetails] = []
    lines = b"content-type: application/json\r\n"
    encoder = Encoder(threshold=THRESHOLD, pressure=lambda: Load.REDUCED, on_response=reports.append)
    encoding = encoder.begin(b"gzip", Head(200, lines, lines, None), b"GET")
    assert isinstance(encoding, Encoded)
    out = encoding.write(b"x" * 500) + (encoding.finish() if finished else b"")

    encoding.close()
    encoding.close()

    (report,) = reports
    assert (report.coding, report.load, report.complete) == ("gzip", Load.REDUCED, finished)
    assert (report.size_in, report.size_out) == (500, len(out))


def test_what_is_used_again_is_compressed_under_any_pressure() -> None:
    lines = b"content-type: application/json\r\n"
    encoder = Encoder(threshold=THRESHOLD, pressure=lambda: Load.OFF)

    once = encoder.begin(b"gzip", Head(200, lines, lines, 500), b"GET")
    again = encoder.begin(b"gzip", Head(200, lines, lines, 500), b"GET", kept=True)

    assert once is not None
    assert again is not None
    assert (once.coding, again.coding) == (None, "gzip")


async def test_an_immutable_body_is_compressed_well_once_for_those_to_come() -> None:
    reports: list[CompressionDetails] = []
    store = Precompressed()
    body = b'{"a":"%b"}' % (b"bc" * 2000)
    lines = b"content-type: application/json\r\ncache-control: immutable\r\n"
    encoder = Encoder(
        threshold=THRESHOLD, pressure=lambda: Load.NORMAL, on_response=reports.append, precompressed=store
    )

    def ask() -> bytes:
        encoding = encoder.begin(b"br", Head(200, lines, lines, len(body)), b"GET")
        assert encoding is not None
        out = encoding.whole(body)
        encoding.close()
        return out

    first = ask()
    ask()  # while it is being made
    await eventually(lambda: len(store))
    again = ask()

    assert brotli.decompress(first) == brotli.decompress(again) == body
    assert [report.kept for report in reports] == [False, False, True]
