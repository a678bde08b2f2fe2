"""Heads that do not say, or say twice, where the body ends."""

from typing import Final

from cortex_core.testing.hostile.entries import Hostile, get, post

_FRAMING: Final = (400, "http.bad-framing")
_CODING: Final = (501, "http.coding-not-implemented")


def _length(name: str, *values: bytes, answer: tuple[int, str] = _FRAMING) -> Hostile:
    lines = [b"Content-Length:" + value for value in values]
    return Hostile("length", name, post(*lines, body=b"x"), *answer)


def _coding(name: str, *lines: bytes, answer: tuple[int, str] = _FRAMING, line: bytes = b"POST / HTTP/1.1") -> Hostile:
    return Hostile("coding", name, post(*lines, body=b"0\r\n\r\n", line=line), *answer)


FRAMING: Final = (
    _length("two, the same", b" 1", b" 1"),
    _length("two, different", b" 1", b" 2"),
    _length("a list", b" 1, 1"),
    _length("empty", b""),
    _length("blank", b"  "),
    _length("plus", b" +1"),
    _length("minus", b" -1"),
    _length("hexadecimal", b" 0x1"),
    _length("two numbers", b" 1 1"),
    _length("underscore", b" 1_0"),
    _length("fraction", b" 1.0"),
    _length("letters", b" one"),
    _length("exponent", b" 1e3"),
    _length("parameter", b" 1;a"),
    _length("quotes", b' "1"'),
    _length("figures of another script", b" \xd9\xa1"),
    _length("beyond 64 bits", b" 18446744073709551617"),
    _length("beyond 63 bits", b" 9223372036854775808"),
    _length("folded", b"", b" 1", answer=_FRAMING),
    Hostile("length", "beside a coding", post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            *_FRAMING),
    Hostile("length", "behind a coding", post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n"),
            *_FRAMING),
    Hostile("length", "0 beside a coding", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            *_FRAMING),
    _coding("gzip", b"Transfer-Encoding: gzip", answer=_CODING),
    _coding("gzip, chunked", b"Transfer-Encoding: gzip, chunked", answer=_CODING),
    _coding("chunked, gzip", b"Transfer-Encoding: chunked, gzip"),
    _coding("chunked, chunked", b"Transfer-Encoding: chunked, chunked"),
    _coding("chunked, identity", b"Transfer-Encoding: chunked, identity"),
    _coding("two lines", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    _coding("two lines, one identity", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", answer=_CODING),
    _coding("two lines, identity last", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    _coding("identity", b"Transfer-Encoding: identity", answer=_CODING),
    _coding("xchunked", b"Transfer-Encoding: xchunked", answer=_CODING),
    _coding("x-chunked", b"Transfer-Encoding: x-chunked", answer=_CODING),
    _coding("chunkedx", b"Transfer-Encoding: chunkedx", answer=_CODING),
    _coding("with a parameter", b"Transfer-Encoding: chunked;q=1", answer=_CODING),
    _coding("in quotes", b'Transfer-Encoding: "chunked"', answer=_CODING),
    _coding("comma before", b"Transfer-Encoding: , chunked", answer=_CODING),
    _coding("comma behind", b"Transfer-Encoding: chunked,"),
    _coding("empty", b"Transfer-Encoding:"),
    _coding("vertical tab before", b"Transfer-Encoding: \x0bchunked", answer=(400, "http.bad-request")),
    _coding("not ASCII behind", b"Transfer-Encoding: chunked\xa0", answer=_CODING),
    _coding("blank before the colon", b"Transfer-Encoding : chunked", answer=(400, "http.bad-request")),
    _coding("folded", b"Transfer-Encoding:", b" chunked", answer=(400, "http.bad-request")),
    _coding("by HTTP/1.0", b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
    Hostile("upgrade", "h2c with a body",
            post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 36"), 400, "http.bad-upgrade"),
    Hostile("upgrade", "h2c with chunks",
            post(b"Upgrade: h2c", b"Connection: Upgrade", b"Transfer-Encoding: chunked"), 400, "http.bad-upgrade"),
    Hostile("upgrade", "WebSocket with a body",
            get(b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 36"), 400, "http.bad-upgrade"),
    Hostile("upgrade", "WebSocket by POST",
            post(b"Upgrade: websocket", b"Connection: Upgrade"), 400, "http.bad-upgrade"),
    Hostile("upgrade", "WebSocket by HTTP/1.0",
            get(b"Upgrade: websocket", b"Connection: Upgrade", line=b"GET / HTTP/1.0"), 400, "http.bad-upgrade"),
)  # fmt: skip
