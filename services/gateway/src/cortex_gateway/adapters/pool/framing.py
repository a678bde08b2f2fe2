"""Where an answer begins and ends (RFC 9112): its head, its chunks. Bytes in, facts out; no connection, no clock.

Owns what is not believed: a head that is no head, two lengths, a length and chunks at once, a line that is folded into
the next. What would have to be guessed is Malformed: a guess is where two readers of one connection begin to differ.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from cortex_gateway.domain.forwarding import HOP_BY_HOP
from cortex_gateway.ports import Head

LONGEST_KNOWN: Final = 2048  # bytes of a head that is remembered
_MOST_KNOWN: Final = 64
HEAD_LIMIT: Final = 64 << 10  # bytes: of an answer's head with all interim answers before it, and of its trailers
FIELDS_LIMIT: Final = 200
_CHUNK_LINE: Final = 1024  # bytes of a chunk's size with its extensions

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT: Final = rb"[\t \x21-\x7e\x80-\xff]*+"
_FIELDS: Final = rb"(?:" + _TOKEN + rb":" + _TEXT + rb"\r\n)*+"
_HEAD: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: " + _TEXT + rb")?\r\n(" + _FIELDS + rb")\r\n")
_TRAILERS: Final = re.compile(_FIELDS + rb"\r\n")
_FRAMING: Final = re.compile(
    rb"\n(?:" + b"|".join(re.escape(name) for name in sorted({*HOP_BY_HOP, b"content-length"})) + rb"):"
)
_KEPT_ALIVE: Final = b"connection: keep-alive\r\n"  # what nginx and others say on every answer
_LENGTH_ALONE: Final = [b"\ncontent-length:"]
_NEWLINE: Final = 0x0A
_LENGTH: Final = re.compile(rb"\ncontent-length:[ \t]*+([0-9]{1,18})[ \t]*+\r")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*+;" + _TEXT + rb")?")
_WITHOUT_BODY: Final = frozenset({204, 304})


class Malformed(Exception):
    """What came is no answer, or it does not say where it ends. The message says why, and quotes nothing."""


class Framed(NamedTuple):
    """A head, and how the body behind it ends: `chunked`, after `head.length` bytes, or with its connection. `lasting`:
    the connection is for another request afterwards."""

    head: Head
    chunked: bool
    lasting: bool


def read_head(data: bytes, *, bodiless: bool) -> Framed:
    """`data` begins with a head, whole. `bodiless`: it answers a HEAD. Raises Malformed."""
    match = _HEAD.match(data)
    if match is None:
        raise Malformed("its head is not HTTP/1.1")
    fields = match[3]
    status = int(match[2])
    folded = fields.lower()
    hops = _FRAMING.findall(b"\n" + folded)
    if len(hops) == 2 and (at := folded.find(_KEPT_ALIVE)) >= 0 and (not at or folded[at - 1] == _NEWLINE):
        fields = fields[:at] + fields[at + len(_KEPT_ALIVE) :]
        folded = fields.lower()
        hops = _FRAMING.findall(b"\n" + folded)
    if match[1] == b"1" and (not hops or hops == _LENGTH_ALONE):
        if fields.count(b"\n") > FIELDS_LIMIT:
            raise Malformed("its head has too many fields")
        length = _length(folded) if hops else None
        if bodiless or status < 200 or status in _WITHOUT_BODY:
            length = 0
        return Framed(Head(status, fields, folded, length), chunked=False, lasting=length is not None)
    return _read_closely(match[1], status, fields, bodiless=bodiless)


class KnownHeads:
    """Heads that were read before, by their bytes: for a second a service says the same again and again. Only heads of
    answers of known length, behind which the connection lasts. A few, and none that is long."""

    __slots__ = ("_heads", "find")

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self.find: Callable[[bytes], Head | None] = self._heads.get

    def keep(self, data: bytes, read: Framed) -> None:
        """`data` is a head, whole, and `read` what it was read as (not as the answer to a HEAD)."""
        if read.chunked or not read.lasting or read.head.length is None:
            return
        if len(self._heads) >= _MOST_KNOWN:  # they differ by their second: those of the last one are of no use
            self._heads.clear()
        self._heads[data] = read.head


def has_half_an_end(data: bytes, at: int = 0) -> bool:
    """Whether a line within `data[at:]` ends with CR or LF alone: then its true end would be waited for in vain."""
    ends = data.count(b"\r\n", at)
    return data.count(b"\n", at) != ends or data.count(b"\r", at, len(data) - 1) > ends


def _length(folded: bytes) -> int:
    found = _LENGTH.search(b"\n" + folded)
    if found is None:
        raise Malformed("its length is no number")
    return int(found[1])


def _read_closely(minor: bytes, status: int, fields: bytes, *, bodiless: bool) -> Framed:
    lines = fields.split(b"\r\n")[:-1]
    if len(lines) > FIELDS_LIMIT:
        raise Malformed("its head has too many fields")
    pairs = [(name.lower(), value.strip(b" \t").lower()) for name, _, value in (line.partition(b":") for line in lines)]
    options = {option.strip() for name, value in pairs if name == b"connection" for option in value.split(b",")}
    drop = HOP_BY_HOP | (options - {b"content-length"})
    kept = b"".join(line + b"\r\n" for line, (name, _) in zip(lines, pairs, strict=True) if name not in drop)
    folded = kept.lower()
    lengths = [value for name, value in pairs if name == b"content-length"]
    codings = [value for name, value in pairs if name == b"transfer-encoding"]
    if len(lengths) > 1:
        raise Malformed("it has two lengths")
    if codings and (lengths or minor == b"0" or codings != [b"chunked"]):
        raise Malformed("its transfer coding is none of ours")
    lasting = minor == b"1" and b"close" not in options
    length = _length(folded) if lengths else None
    if bodiless or status < 200 or status in _WITHOUT_BODY:
        if codings and not bodiless:
            lasting = False  # what it must not say (RFC 9112, section 6.1): then what follows is nobody's to guess
        return Framed(Head(status, kept, folded, 0), chunked=False, lasting=lasting)
    return Framed(Head(status, kept, folded, length), bool(codings), lasting and bool(codings or lengths))


class Chunks:
    """The body of a chunked answer as it comes in, a piece at a time. `ended` when its last byte was read; what follows
    lies in `rest`."""

    __slots__ = ("_left", "_pending", "_trailers", "ended", "rest")

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0  # bytes of the chunk at hand, with the CRLF at its end; 0: a size comes next
        self._trailers = False
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """What of the body came with `data`. Raises Malformed."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        parts: list[bytes] = []
        at = 0
        while not self._trailers:
            if self._left:
                at = self._chunk(data, at, parts)
                if self._left:
                    break
            end = data.find(b"\r\n", at, at + _CHUNK_LINE + 2)
            if end < 0:
                if len(data) - at > _CHUNK_LINE:
                    raise Malformed("a chunk's size is too long")
                if has_half_an_end(data, at):
                    raise Malformed("a chunk's size is no number")
                break
            size = _SIZE.fullmatch(data, at, end)
            if size is None:
                raise Malformed("a chunk's size is no number")
            at = end + 2
            count = int(size[1], 16)
            if count:
                self._left = count + 2
            else:
                self._trailers = True
                at -= 2  # the empty line at the end of no trailers is found like that of some
        if self._trailers:
            self._end(data, at)
        else:
            self._pending = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunk(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Takes what is there of the chunk at hand; returns where it ends."""
        body = self._left - 2
        if body > 0:
            part = data[at : at + body]
            if part:
                parts.append(part)
                at += len(part)
                self._left -= len(part)
        if self._left <= 2 and len(data) - at >= 2:
            if data[at : at + 2] != b"\r\n":
                raise Malformed("a chunk is longer than its size")
            self._left = 0
            at += 2
        return at

    def _end(self, data: bytes, at: int) -> None:
        """`at` is where the CRLF of the last chunk's size stands: the end is the first empty line from there."""
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > HEAD_LIMIT:
                raise Malformed("its trailers are too long")
            if has_half_an_end(data, at):
                raise Malformed("its trailers are none")
            self._pending = data[at:]
            return
        trailers = _TRAILERS.fullmatch(data, at + 2, end + 4)
        if trailers is None or end - at > HEAD_LIMIT or data.count(b"\n", at + 2, end) >= FIELDS_LIMIT:
            raise Malformed("its trailers are none")
        self.ended = True
        self.rest = data[end + 4 :]
