"""What is wrong behind what is right: answered in its turn, and nothing after it."""

from typing import Final

from cortex_core.testing.hostile.entries import BEFORE, Hostile, chunked, get, post


def _behind(name: str, data: bytes, status: int, code: str, *, first: bytes = BEFORE) -> Hostile:
    return Hostile("behind a request", name, first + data, status, code, before=1)


CONNECTIONS: Final = (
    _behind("method of nobody", get(line=b"FOO / HTTP/1.1"), 400, "http.bad-request"),
    _behind("no Host", get(host=None), 400, "http.bad-host"),
    _behind("two blanks", get(line=b"GET  / HTTP/1.1"), 400, "http.bad-request"),
    _behind("too many lines", get(*[b"X: a"] * 101), 431, "http.too-many-headers"),
    _behind("conflicting lengths", post(b"Content-Length: 1", b"Content-Length: 2"), 400, "http.bad-framing"),
    _behind("chunk that is none", chunked(b"g\r\n"), 400, "http.bad-framing"),
    _behind("more than its length", b"y z\r\n", 400, "http.bad-request", first=post(b"Content-Length: 1", body=b"x")),
    _behind("body without a length", b"a=b&c=d\r\n", 400, "http.bad-request", first=post()),
    _behind("HEAD, then a method of nobody", b"FOO\r\n", 400, "http.bad-request", first=get(line=b"HEAD / HTTP/1.1")),
)
