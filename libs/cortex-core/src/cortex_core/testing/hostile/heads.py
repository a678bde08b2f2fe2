"""Heads that are wrong: request lines, targets, hosts, header lines."""

from typing import Final

from cortex_core.testing.hostile.entries import Hostile, get

KIB: Final = 1024


def _line(name: str, line: bytes, status: int = 400, code: str = "http.bad-request") -> Hostile:
    return Hostile("request line", name, get(line=line), status, code)


def _raw(name: str, data: bytes, status: int = 400, code: str = "http.bad-request") -> Hostile:
    return Hostile("request line", name, data, status, code)


def _target(name: str, target: bytes, status: int = 400, code: str = "http.bad-target") -> Hostile:
    return Hostile("target", name, get(line=b"GET " + target + b" HTTP/1.1"), status, code)


def _host(name: str, *lines: bytes, code: str = "http.bad-host") -> Hostile:
    return Hostile("host", name, get(*lines, host=None), 400, code)


def _header(name: str, *lines: bytes, status: int = 400, code: str = "http.bad-request") -> Hostile:
    return Hostile("header", name, get(*lines), status, code)


_VERSION: Final = (505, "http.version-not-supported")
_METHOD: Final = (501, "http.method-not-implemented")

LINES: Final = (
    _line("two blanks after the method", b"GET  / HTTP/1.1"),
    _line("two blanks before the version", b"GET /  HTTP/1.1"),
    _line("tab after the method", b"GET\t/ HTTP/1.1"),
    _line("tab before the version", b"GET /\tHTTP/1.1"),
    _line("blank behind the version", b"GET / HTTP/1.1 "),
    _line("method in lower case", b"get / HTTP/1.1"),
    _line("method of nobody", b"FOO / HTTP/1.1"),
    _line("method with a colon", b"GE:T / HTTP/1.1"),
    _line("method with NUL", b"GE\0T / HTTP/1.1"),
    _line("protocol in lower case", b"GET / http/1.1"),
    _line("HTTP/1.10", b"GET / HTTP/1.10"),
    _line("HTTP/1.1x", b"GET / HTTP/1.1x"),
    _line("version behind a plus", b"GET / HTTP/+1.1"),
    _line("HTTP/0.9 by name", b"GET / HTTP/0.9", *_VERSION),
    _line("HTTP/1.2", b"GET / HTTP/1.2", *_VERSION),
    _line("HTTP/2.0", b"GET / HTTP/2.0", *_VERSION),
    _line("no version", b"GET /", *_VERSION),
    _line("RTSP by GET", b"GET / RTSP/1.0"),
    _line("RTSP by its own method", b"DESCRIBE / RTSP/1.0", *_METHOD),
    _line("ICE", b"SOURCE / ICE/1.0", *_METHOD),
    _line("CONNECT to an authority", b"CONNECT a:80 HTTP/1.1", *_METHOD),
    _line("no target", b"GET HTTP/1.1"),
    _raw("a word", b"GET\r\n\r\n"),
    _raw("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _raw("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    _raw("NULs", b"\0" * 64),
    _raw("SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n"),
    _raw("redis command", b"*1\r\n$4\r\nPING\r\n"),
    _raw("lines ended by LF", b"GET / HTTP/1.1\nHost: a\n\n"),
    _raw("lines ended by CR", b"GET / HTTP/1.1\rHost: a\r\r"),
    _raw("blank line of LF before it", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    _raw("CR before it", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    _raw("blank before it", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
)

TARGETS: Final = (
    _target("blank inside", b"/a b", code="http.bad-request"),
    _target("not ASCII", b"/\xc3\xa9", code="http.bad-request"),
    _target("control byte", b"/\x01", code="http.bad-request"),
    _target("NUL", b"/\0", code="http.bad-request"),
    _target("DEL", b"/\x7f", code="http.bad-request"),
    _target("no slash", b"a", code="http.bad-request"),
    _target("authority alone", b"a:80", code="http.bad-request"),
    _target("star by GET", b"*"),
    _target("fragment", b"/a#b"),
    _target("fragment behind a query", b"/a?b#c"),
    _target("other host than Host", b"http://b/", code="http.bad-host"),
    _target("other port than Host", b"http://a:81/", code="http.bad-host"),
    _target("user before the host", b"http://u@a/", code="http.bad-host"),
    _target("no authority", b"http:///a", code="http.bad-host"),
    _target("other scheme", b"ftp://a/"),
    _target("half an escape", b"/%a"),
    _target("escape of letters", b"/%zz"),
    _target("per cent at the end", b"/a%"),
    _target("half an escape in the query", b"/?a=%"),
    _target("escaped NUL", b"/a%00b"),
    _target("escaped byte that is no UTF-8", b"/%ff"),
    _target("overlong UTF-8", b"/%c0%af"),
    _target("surrogate", b"/%ed%a0%80"),
    _target("too long", b"/" + b"a" * 8 * KIB, 414, "http.target-too-long"),
    Hostile("target", "without an end", b"GET /" + b"a" * 12 * KIB, 414, "http.target-too-long", endless=True),
    Hostile("target", "absolute without Host", b"GET http://a/ HTTP/1.0\r\n\r\n", 400, "http.bad-host"),
)

HOSTS: Final = (
    _host("none"),
    _host("twice the same", b"Host: a", b"Host: a"),
    _host("two", b"Host: a", b"hOsT: b"),
    _host("empty", b"Host:"),
    _host("blank", b"Host:  "),
    _host("two in one line", b"Host: a, b"),
    _host("with a path", b"Host: a/b"),
    _host("with a user", b"Host: u@a"),
    _host("with a query", b"Host: a?b"),
    _host("with a scheme", b"Host: http://a"),
    _host("port of letters", b"Host: a:http"),
    _host("port beyond 65535", b"Host: a:65536"),
    _host("port of six digits", b"Host: a:000080"),
    _host("two ports", b"Host: a:80:80"),
    _host("port alone", b"Host: :80"),
    _host("not ASCII", b"Host: \xc3\xa9"),
    _host("open bracket", b"Host: [::1"),
    _host("closed bracket", b"Host: ::1]"),
    _host("IPv6 without brackets", b"Host: ::1"),
    _host("no IPv6 in brackets", b"Host: [fe80::g]"),
    _host("IPv4 in brackets", b"Host: [127.0.0.1]"),
    _host("IPv6 with a zone", b"Host: [fe80::1%25eth0]"),
    _host("markup", b"Host: <script>"),
    _host("quotes", b'Host: "a"'),
    _host("half an escape", b"Host: a%2"),
    _host("backslash", b"Host: a\\b"),
    _host("300 bytes", b"Host: " + b"a" * 300),
    _host("NUL", b"Host: a\0", code="http.bad-request"),
    _host("folded", b"Host:", b" a", code="http.bad-request"),
    Hostile("host", "two by HTTP/1.0", get(b"Host: b", line=b"GET / HTTP/1.0"), 400, "http.bad-host"),
)

_LARGE: Final = {"status": 431, "code": "http.head-too-large"}

HEADERS: Final = (
    _header("blank before the colon", b"X : a"),
    _header("tab before the colon", b"X\t: a"),
    _header("blank in the name", b"X Y: a"),
    _header("no name", b": a"),
    _header("no colon", b"X"),
    _header("folded by a blank", b"X: a", b" b"),
    _header("folded by a tab", b"X: a", b"\tb"),
    _header("folded, and empty before", b"X:", b" b"),
    _header("NUL in the value", b"X: a\0b"),
    _header("control byte in the value", b"X: a\x01b"),
    _header("DEL in the value", b"X: a\x7fb"),
    _header("CR in the value", b"X: a\rY: b"),
    _header("line ended by LF", b"X: a\nY: b"),
    _header("CR CR LF", b"X: a\r"),
    _header("name not ASCII", b"X\xc3\xa9: a"),
    _header("name with a control byte", b"X\x01: a"),
    _header("name with a parenthesis", b"X(: a"),
    _header("name with an at", b"X@: a"),
    _header("name in quotes", b'"X": a'),
    Hostile("header", "blank before the first", get(b" X: a", host=None), 400, "http.bad-request"),
    _header("101 lines", *[b"X: a"] * 100, status=431, code="http.too-many-headers"),
    _header("2,000 lines", *[b"X: a"] * 2000, status=431, code="http.too-many-headers"),
    _header("value of 33 KiB", b"X: " + b"a" * 33 * KIB, **_LARGE),  # type: ignore[arg-type]
    _header("name of 33 KiB", b"X" * 33 * KIB + b": a", **_LARGE),  # type: ignore[arg-type]
    Hostile(
        "header", "without an end", get()[:-2] + b"X: " + b"a" * 40 * KIB, 431, "http.head-too-large", endless=True
    ),
    Hostile("header", "blank lines without an end", b"\r\n" * 20 * KIB, 431, "http.head-too-large", endless=True),
    _header("expectation of nobody", b"Expect: 200-ok", status=417, code="http.expectation-failed"),
    _header("expectations", b"Expect: 100-continue, x", status=417, code="http.expectation-failed"),
)
