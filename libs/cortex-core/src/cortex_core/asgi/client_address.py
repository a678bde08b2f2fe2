"""Client address: who is really asking, where proxies stand in between.

Owns the trusted-proxy rule. `X-Forwarded-For` and `Forwarded` (RFC 7239) are written by whoever likes to, and appended
to by each proxy: only what a trusted proxy has appended is believed, so they are read from the right, and as far as the
first address that is not a trusted proxy's. What such a proxy says of the client's scheme and host is believed by the
same rule. Refuses to raise: what makes no sense ends the reading, and the last trustworthy address is the answer.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final, Literal, NamedTuple

from cortex_core.asgi.types import Scope

UNKNOWN: Final = "unknown"  # the peer of a Unix socket has no address

_MAX_HOPS: Final = 32  # more proxies than that are nobody's network
_LONGEST: Final = 64  # characters; the longest address has 45
_NODE: Final = re.compile(  # RFC 7239, section 6: a port may be hidden behind a word
    r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^:\[\]]*))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?", re.ASCII
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,253})(?::[0-9]{1,5})?", re.ASCII)
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}  # as some proxies write of sockets

_Address = IPv4Address | IPv6Address


class Origin(NamedTuple):
    """Where a request came from: the client's address, the scheme (`http`, `https`) and the host that it asked with.
    None: nobody who is trusted says."""

    address: str | None
    scheme: str | None = None
    host: str | None = None


class ClientAddress:
    """`trusted` are the networks of our own proxies (`10.0.0.0/8`, `::1`), or `unix` for a peer on a Unix socket.

    Name in `header` the one that these proxies write; the other would be the client's own words. Raises ValueError for
    what is no network, and for an `ipv6_prefix` outside 1 … 128.
    """

    def __init__(
        self,
        *,
        trusted: Sequence[str] = (),
        header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for",
        ipv6_prefix: int = 64,
    ) -> None:
        if header not in {"x-forwarded-for", "forwarded"}:
            raise ValueError(f"header must be 'x-forwarded-for' or 'forwarded', not {header!r}")
        if type(ipv6_prefix) is not int or not 1 <= ipv6_prefix <= 128:
            raise ValueError(f"ipv6_prefix must be from 1 to 128, not {ipv6_prefix!r}")
        self._networks = [_network(text) for text in trusted if text != "unix"]
        self._trusts_unix = "unix" in trusted
        self._header = header.encode()
        self._nodes = _forwarded if header == "forwarded" else _forwarded_for
        self._ipv6_prefix = ipv6_prefix

    def address(self, scope: Scope) -> str:
        """The client's address as text, IPv6 in its short form, IPv4 inside IPv6 as IPv4; `unknown` where even the
        peer has none."""
        return _text(self._find(scope)) or UNKNOWN

    def group(self, scope: Scope) -> str:
        """What to limit by: the address, and of IPv6 its network of `ipv6_prefix` bits (`2001:db8::/64`), because that
        is what one customer is given."""
        found = self._find(scope)
        if isinstance(found, IPv6Address):
            return _network_of(found, self._ipv6_prefix)
        return _text(found) or UNKNOWN

    def origin(self, scope: Scope) -> Origin:
        """The address, and what its trusted proxy says of scheme and host: of `Forwarded` the element that the address
        is from; else the last in `X-Forwarded-Proto` and `-Host`, because what is before it may be the client's."""
        peer = _peer_of(scope)
        if not self._believes(peer):
            return Origin(_text(peer))
        found, read = self._walk(peer, _written(scope, self._header))
        if self._header == b"forwarded":
            said = next(islice(_elements(_written(scope, self._header)), max(read - 1, 0), None), {})
            scheme, host = said.get("proto"), said.get("host")
        else:
            scheme, host = _last(scope, b"x-forwarded-proto"), _last(scope, b"x-forwarded-host")
        return Origin(
            _text(found),
            scheme=_SCHEMES.get(scheme.lower()) if scheme is not None else None,
            host=host if host is not None and _HOST.fullmatch(host) else None,
        )

    def _find(self, scope: Scope) -> _Address | None:
        peer = _peer_of(scope)
        return self._walk(peer, _written(scope, self._header))[0] if self._believes(peer) else peer

    def _walk(self, peer: _Address | None, written: str) -> tuple[_Address | None, int]:
        """The client behind a peer that is believed, and how many nodes were read for it."""
        last, read = peer, 0
        for node, _ in zip(self._nodes(written), range(_MAX_HOPS), strict=False):
            read += 1
            hop = None if node is None else _address_of(node)
            if hop is None:
                break
            last = hop
            if not self._trusts(hop):
                break
        return last, read

    def _believes(self, peer: _Address | None) -> bool:
        return self._trusts(peer) if peer is not None else self._trusts_unix

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"trusted must hold networks or 'unix', not {text!r}") from error


def _peer_of(scope: Scope) -> _Address | None:
    peer = scope.get("client")
    return _parse(str(peer[0]).partition("%")[0]) if peer else None  # without a link-local address's interface


def _written(scope: Scope, header: bytes) -> str:
    return b",".join(value for name, value in scope["headers"] if name == header).decode("latin-1")


def _last(scope: Scope, header: bytes) -> str | None:
    return next(_forwarded_for(_written(scope, header)), None)


def _forwarded_for(header: str) -> Iterator[str | None]:
    """The nodes of `X-Forwarded-For`, the last one first. Nothing between two commas is no node (RFC 9110, 5.6.1)."""
    end = len(header)
    while end > 0:
        comma = header.rfind(",", 0, end)
        node = header[comma + 1 : end].strip()
        if node:
            yield node
        end = comma


def _forwarded(header: str) -> Iterator[str | None]:
    """The nodes of `Forwarded`, the last one first; None for an element that names none, or two."""
    return (element.get("for") for element in _elements(header))


def _elements(header: str) -> Iterator[dict[str, str | None]]:
    """The elements of `Forwarded`, the last one first; None is what one of them says twice."""
    for element in _split_from_right(header, ","):
        if element.strip():
            said: dict[str, str | None] = {}
            for pair in _split_from_right(element, ";"):
                name, _, value = pair.partition("=")
                name = name.strip().lower()
                said[name] = None if name in said else _unquoted(value.strip())
            yield said


def _split_from_right(text: str, separator: str) -> Iterator[str]:
    """The parts between separators that are not inside quotes, the last one first. From the right, because a quote that
    a client left open must not swallow what a proxy has appended."""
    end, quoted = len(text), False
    for at in range(len(text) - 1, -1, -1):
        if text[at] == '"' and not (quoted and _is_escaped(text, at)):
            quoted = not quoted
        elif text[at] == separator and not quoted:
            yield text[at + 1 : end]
            end = at
    yield text[:end]


def _is_escaped(text: str, at: int) -> bool:
    first = at
    while first > 0 and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value


def _address_of(node: str) -> _Address | None:
    """`192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; None for all else (`unknown`,
    `_hidden`)."""
    match = _NODE.fullmatch(node)
    if match is None:
        return _parse(node)
    return _parse(match["plain"] if match["bracketed"] is None else match["bracketed"])


def _parse(text: str) -> _Address | None:
    return _parsed(text) if len(text) <= _LONGEST else None  # nobody may fill the memory with what is longer


@lru_cache(maxsize=8192)
def _parsed(text: str) -> _Address | None:
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=8192)
def _text(address: _Address | None) -> str | None:
    return None if address is None else str(address)


@lru_cache(maxsize=8192)
def _network_of(address: IPv6Address, prefix: int) -> str:
    return str(IPv6Network((address, prefix), strict=False))
