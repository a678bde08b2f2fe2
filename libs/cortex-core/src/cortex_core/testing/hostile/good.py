"""Requests that look strange and are right: a server that is strict serves them."""

from dataclasses import dataclass
from typing import Final

from cortex_core.testing.hostile.entries import BEFORE, chunked, get, post


@dataclass(frozen=True, slots=True)
class Good:
    """`data` is answered by 200, `count` times. `target` and `body` are what the last of its requests was. `closes`:
    the connection ends with it."""

    name: str
    data: bytes
    target: bytes = b"/"
    body: bytes = b""
    count: int = 1
    closes: bool = False

    def __str__(self) -> str:
        return self.name


def _line(name: str, target: bytes, seen: bytes | None = None) -> Good:
    return Good(name, get(line=b"GET " + target + b" HTTP/1.1"), target if seen is None else seen)


GOOD: Final = (
    Good("plain", get()),
    Good("blank line before it", b"\r\n" + get()),
    Good("Host with a port", get(b"Host: example.org:8080", host=None)),
    Good("Host with an empty port", get(b"Host: example.org:", host=None)),
    Good("Host as an IPv4 address", get(b"Host: 127.0.0.1:1", host=None)),
    Good("Host as an IPv6 address", get(b"Host: [2001:db8::1]:8080", host=None)),
    Good("Host in any case, with blanks around", get(b"hOST:   Example.ORG.  ", host=None)),
    _line("absolute target", b"http://a/x?y=z", b"/x?y=z"),
    _line("absolute target without a path", b"HTTP://A", b"/"),
    _line("absolute target with a query alone", b"http://a?y", b"/?y"),
    _line("two slashes", b"//b/c"),
    _line("escapes", b"/%41%C3%A9%20?q=%00%ff"),
    _line("escaped slash", b"/a%2Fb"),
    _line("dots", b"/a/../b/./c"),
    _line("characters that nobody escapes", b"/a|b?{}^`[]'\"<>\\"),
    _line("target as long as may be", b"/" + b"a" * (8 * 1024 - 1)),
    Good("bytes beyond ASCII in a value", get(b"X: \xc3\xa9")),
    Good("100 lines", get(*[b"X: a"] * 99)),
    Good("empty value", get(b"X:")),
    Good("body by length", post(b"Content-Length: 5", body=b"hello"), body=b"hello"),
    Good("length with zeros", post(b"Content-Length: 0005", body=b"hello"), body=b"hello"),
    Good("body that looks like a head", post(b"Content-Length: 8", body=b"a\r\n\r\nGET"), body=b"a\r\n\r\nGET"),
    Good("GET with a body", get(b"Content-Length: 5") + b"hello", body=b"hello"),
    Good("chunks", chunked(b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), body=b"hello"),
    Good("chunks of one byte", chunked(b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n"), body=b"x" * 3000),
    Good("chunk with an extension", chunked(b'5;a=b;c="d e"\r\nhello\r\n0\r\n\r\n'), body=b"hello"),
    Good("trailers", chunked(b"5\r\nhello\r\n0\r\nHost: evil\r\nX-Cortex-Tenant: evil\r\n\r\n"), body=b"hello"),
    Good("coding in capitals", post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n")),
    Good("h2c that is ignored", get(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA")),
    Good("two behind h2c", get(b"Upgrade: h2c", b"Connection: Upgrade") + get(), count=2),
    Good("three in a row", BEFORE + chunked(b"5\r\nhello\r\n0\r\n\r\n") + get(line=b"GET /3 HTTP/1.1"), b"/3", count=3),
    Good("the last says close", BEFORE + get(b"Connection: close"), count=2, closes=True),
    Good("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", closes=True),
    Good("HTTP/1.0 with a body", b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", body=b"hi", closes=True),
)
