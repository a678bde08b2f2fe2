"""What a request's head must look like (RFC 9110, RFC 9112), beyond what llhttp refuses by itself.

llhttp (strict, as httptools sets it up) refuses bare CR and LF, NUL and control bytes, folded lines, blanks before a
colon or in a name, lengths that are no number, two lengths, a length beside a coding, non-ASCII targets. What it lets
pass, and is refused here: versions we do not speak, RTSP and ICE, CONNECT, other codings before `chunked`, `chunked` in
HTTP/1.0, two Hosts or none, what is no host, a target that disagrees with it, escapes that are none, expectations.
"""

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from cortex_core.chassis.http_protocol.hosts import is_near
from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.http_protocol.refusals import Refusal

_TOLD: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_HTTP: Final = frozenset(
    {
        b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"QUERY",  # RFC 9110 and its kin
        b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"SEARCH", b"REPORT",  # WebDAV
        b"LINK", b"UNLINK", b"PURGE", b"BIND", b"REBIND", b"UNBIND", b"ACL", b"CHECKOUT", b"MERGE", b"MKACTIVITY",
        b"MKCALENDAR", b"M-SEARCH", b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE",
    }
)  # fmt: skip
_REG_NAME: Final = rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
_HOST: Final = re.compile(rb"(?:(\[[0-9A-Fa-f:.]{2,45}\])|(" + _REG_NAME + rb"))(?::([0-9]{0,5}))?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BLANKS: Final = b" \t"
_LONGEST_LENGTH: Final = 18  # digits: below 2**63, which is what others count in
_LONGEST_HOST: Final = 255


class Framing(NamedTuple):
    """What the head says of what follows. `length`: bytes of the body, None where it is chunked."""

    length: int | None = 0
    expects_continue: bool = False
    websocket: bool = False


BARE: Final = Framing()
"""No body, and nothing special."""


class Heads:
    """Inspects heads. Remembers hosts that were right: the same few come all the time."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._right: set[bytes] = set()

    def inspect(
        self, method: bytes, version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], upgrade: bool
    ) -> Framing:
        """Raises Refusal. Names are in lower case; `upgrade` is what the parser thinks."""
        limits = self._limits
        if version != "1.1" and version != "1.0":  # noqa: PLR1714 - a tuple to look through costs each request more
            raise Refusal("http.version-not-supported", "HTTP/1.1 and HTTP/1.0 are spoken here")
        if method not in _HTTP:
            raise Refusal("http.method-not-implemented", "this method is not implemented here")
        if len(target) > limits.target_size or len(headers) > limits.header_count:
            raise self._too_much(target)

        host: bytes | None = None
        told: _Told | None = None
        for name, value in headers:
            if name in _TOLD:
                if name != b"host":
                    told = told or _Told()
                    told.hear(name, value.rstrip(_BLANKS))  # which llhttp leaves there
                elif host is None:
                    host = value
                else:
                    raise Refusal("http.bad-host", "there is more than one Host")
        if host is None:
            if version == "1.1":
                raise Refusal("http.bad-host", "a request needs a Host")
        elif host not in self._right:
            self._check_host(host)
        if target[:1] != b"/" or b"%" in target or b"#" in target:
            check_target(target, host)
        return _framing(told, method, version, upgrade=upgrade) if told is not None else BARE

    def _too_much(self, target: bytes) -> Refusal:
        limits = self._limits
        if len(target) > limits.target_size:
            return Refusal("http.target-too-long", f"a target has at most {limits.target_size} bytes")
        return Refusal("http.too-many-headers", f"a request has at most {limits.header_count} header lines")

    def _check_host(self, host: bytes) -> None:
        name = host_name(host.rstrip(_BLANKS))
        if name not in self._limits.hosts:
            self._check_unnamed(name)
        if len(self._right) < 1000:
            self._right.add(host)

    def _check_unnamed(self, name: str) -> None:
        limits = self._limits
        if limits.hosts_setting:
            if not is_near(name):
                raise Refusal(
                    "http.host-not-served",
                    "this host is not served here: while nobody has to say who he is, a name with a dot is only where"
                    f" {limits.hosts_setting} names it",
                )
        elif limits.hosts:
            raise Refusal("http.host-not-served", "this host is not served here")


class _Told:
    """What those header lines say that decide what a request is."""

    __slots__ = ("chunked", "expects", "length", "upgrades")

    def __init__(self) -> None:
        self.length: int | None = None
        self.chunked = False
        self.expects = False
        self.upgrades: list[bytes] = []

    def hear(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.length = _length(self.length, value)
        elif name == b"transfer-encoding":
            if self.chunked:
                raise Refusal("http.bad-framing", "there is more than one Transfer-Encoding")
            self.chunked = _is_chunked(value)
        elif name == b"expect":
            self.expects = _is_continue(value)
        else:
            self.upgrades.append(value)


def _framing(told: _Told, method: bytes, version: str, *, upgrade: bool) -> Framing:
    if told.chunked and (told.length is not None or version == "1.0"):
        raise Refusal("http.bad-framing", "Transfer-Encoding stands alone, and in HTTP/1.1 only")
    has_body = told.chunked or bool(told.length)
    websocket = upgrade and _upgrade(told.upgrades, method, version, has_body=has_body)
    length = None if told.chunked else told.length or 0
    return Framing(length, told.expects and version == "1.1", websocket)


def host_name(host: bytes) -> str:
    """`Example.org:80` → `example.org`. Raises Refusal (RFC 9110, section 7.2; RFC 3986, section 3.2.2)."""
    match = _HOST.fullmatch(host) if len(host) <= _LONGEST_HOST else None
    if match is None or (match[3] and int(match[3]) > 65535):
        raise Refusal("http.bad-host", "Host is a name or an address, and a port where it needs one")
    if match[1] and not _is_ipv6(match[1]):
        raise Refusal("http.bad-host", "what stands in brackets is an IPv6 address")
    return (match[1] or match[2]).decode("ascii").lower()


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text[1:-1].decode("ascii"))
    except AddressValueError:
        return False
    return True


def _length(before: int | None, value: bytes) -> int:
    if before is not None or not value.isdigit() or len(value) > _LONGEST_LENGTH:
        raise Refusal("http.bad-framing", "Content-Length is one number")
    return int(value)


def _is_chunked(value: bytes) -> bool:
    if value.lower() != b"chunked":
        raise Refusal("http.coding-not-implemented", "of transfer codings only chunked is implemented here")
    return True


def _is_continue(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise Refusal("http.expectation-failed", "the only expectation that can be met is 100-continue")
    return True


def check_target(target: bytes, host: bytes | None) -> None:
    """Raises Refusal (RFC 9112, section 3.2; RFC 3986, section 2.1)."""
    if target[:1] != b"/":
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise Refusal("http.bad-target", "a target is a path, or an absolute http URL")
        if host is None or match[1].lower() != host.rstrip(_BLANKS).lower():
            raise Refusal("http.bad-host", "the target's authority and Host are not the same")
    if b"#" in target:
        raise Refusal("http.bad-target", "a fragment is the client's own and is not sent")
    if _BAD_ESCAPE.search(target):
        raise Refusal("http.bad-target", "a % in a target begins an escape of two hexadecimal digits")
    path = unquote_to_bytes(target.partition(b"?")[0])
    if b"\0" in path:
        raise Refusal("http.bad-target", "no path has a NUL in it")
    try:
        path.decode()
    except UnicodeDecodeError:
        raise Refusal("http.bad-target", "a path is UTF-8") from None


def origin_form(target: bytes) -> bytes:
    """`http://a/b?c` → `/b?c`, of a target that has been checked."""
    match = _ABSOLUTE.fullmatch(target)
    rest = (match[2] if match is not None else target) or b"/"
    return rest if rest[:1] == b"/" else b"/" + rest


def _upgrade(upgrades: list[bytes], method: bytes, version: str, *, has_body: bool) -> bool:
    """Whether this is a WebSocket's opening. Any other upgrade is ignored, as RFC 9110, section 7.8, lets us; but not
    with a body: llhttp would take that for what comes after the upgrade."""
    if has_body:
        raise Refusal("http.bad-upgrade", "a request that would upgrade has no body")
    wanted = [value.lower() for value in upgrades]
    if wanted != [b"websocket"]:
        return False
    if method != b"GET" or version != "1.1":
        raise Refusal("http.bad-upgrade", "a WebSocket is opened by GET and HTTP/1.1")
    return True
