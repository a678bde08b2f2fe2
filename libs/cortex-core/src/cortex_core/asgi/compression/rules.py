"""Which responses may be encoded, and what becomes of their headers.

Owns everything that RFC 9110 says of a coded response: `Vary`, weak ETags, no length that is wrong. Decides by headers
only; what the client takes is `negotiation.py`'s.
"""

from collections.abc import Iterable
from typing import Final

from cortex_core.asgi.types import Headers

RawHeaders = list[tuple[bytes, bytes]]

_APPLICATION: Final = frozenset(
    {
        *("ecmascript", "graphql", "javascript", "json", "jsonl", "rtf", "sql", "toml", "vnd.ms-fontobject", "wasm"),
        *("x-javascript", "x-ndjson", "x-sh", "x-yaml", "xml", "xml-dtd", "yaml"),
    }
)
_OTHERS: Final = frozenset(
    {"font/collection", "font/otf", "font/ttf", "image/bmp", "image/vnd.microsoft.icon", "image/x-icon"}
)
_SUFFIXES: Final = ("+json", "+json-seq", "+text", "+xml", "+yaml")

_READ: Final = frozenset(
    [
        *(
            b"cache-control",
            b"content-encoding",
            b"content-length",
            b"content-range",
            b"content-type",
            b"etag",
            b"vary",
        ),
        *(b"content-digest", b"content-md5", b"digest", b"repr-digest", b"signature"),
    ]
)
_OF_THE_BYTES: Final = (b"content-digest", b"content-md5", b"digest", b"repr-digest", b"signature")
_NO_LONGER_TRUE: Final = frozenset({b"accept-ranges", b"content-encoding", b"content-length"})
_NEVER: Final = frozenset({204, 205, 206, 304})


def compressible(content_type: str) -> bool:
    """Whether bytes of this media type shrink: text, JSON, XML and their kind, WebAssembly, fonts without a compression
    of their own. Not `text/event-stream`, whose events `Compression(events=True)` is for."""
    media = content_type.partition(";")[0].strip().lower()
    family, _, name = media.partition("/")
    if family == "text":
        return name != "event-stream"
    return (family == "application" and name in _APPLICATION) or media in _OTHERS or name.endswith(_SUFFIXES)


def is_event_stream(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"


def read(headers: Headers) -> dict[bytes, bytes]:
    """The headers that decide, each by its name; lists that came in several lines are one."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _READ:
            found[lower] = found[lower] + b", " + value if lower in found else value
    return found


def untouchable(status: int, found: dict[bytes, bytes]) -> bool:
    """Whether the content is not ours to change: there is none, it is a part (206), or it is `fixed`."""
    return status < 200 or status in _NEVER or b"content-range" in found or fixed(found)


def fixed(found: dict[bytes, bytes]) -> bool:
    """Whether nobody gets this encoded by us: it is encoded already, its sender forbids it (`no-transform`, RFC 9111
    section 5.2.2.6), or a digest or signature of these very bytes goes with it."""
    return (
        found.get(b"content-encoding", b"identity").strip().lower() not in {b"identity", b""}
        or b"no-transform" in listed(found.get(b"cache-control", b""))
        or any(name in found for name in _OF_THE_BYTES)
    )


def listed(value: bytes) -> Iterable[bytes]:
    """The elements of a list header, lower-case."""
    return [element.strip().lower() for element in value.split(b",")]


def declared_length(found: dict[bytes, bytes]) -> int | None:
    """`Content-Length` in bytes; None where there is none or it makes no sense."""
    value = found.get(b"content-length", b"").strip()
    return int(value) if value.isdigit() and len(value) < 20 else None


def varied(headers: Headers) -> RawHeaders:
    """With `Vary: Accept-Encoding`, in one line with what it varied by before."""
    kept: RawHeaders = []
    values: list[bytes] = []
    for name, value in headers:
        if name.lower() == b"vary":
            values.append(value)
        else:
            kept.append((name, value))
    known = [element for value in values for element in listed(value)]
    if b"*" not in known and b"accept-encoding" not in known:
        values.append(b"Accept-Encoding")
    return [*kept, (b"vary", b", ".join(value for value in values if value.strip()))]


def encoded(headers: Headers, coding: str, length: int | None) -> RawHeaders:
    """The headers of the encoded variant; `length` is that of the encoded bytes, None where it is not known yet.

    A strong ETag becomes weak: it names the other variant's bytes (RFC 9110 section 8.8.3). `Accept-Ranges` goes, since
    a range of these bytes cannot be asked for.
    """
    kept = [
        (name, weak(value) if name.lower() == b"etag" else value)
        for name, value in varied(headers)
        if name.lower() not in _NO_LONGER_TRUE
    ]
    kept.append((b"content-encoding", coding.encode()))
    if length is not None:
        kept.append((b"content-length", str(length).encode()))
    return kept


def weak(etag: bytes) -> bytes:
    return etag if etag.startswith(b"W/") else b"W/" + etag


def revalidated(headers: Headers, if_none_match: bytes, *, encodes: bool) -> RawHeaders:
    """A 304's headers with the ETag that the 200 to the same request would have (RFC 9110, section 15.4.5): of who gets
    what can be encoded encoded, the encoded variant's where it holds that, or where it names none (`*`). Whoever gets
    identity is told identity's tag, whatever it holds."""
    held = if_none_match.strip()
    return [
        (name, weak(value) if encodes and name.lower() == b"etag" and (held == b"*" or weak(value) in held) else value)
        for name, value in headers
    ]
