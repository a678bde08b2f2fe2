"""Where a request came from: one answer for what services are told of it, in both lanes and of sockets.

Owns no trust: `asgi/client_address.py` says whose word counts, and the limits count by the same object.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cortex_core.asgi import ClientAddress
from cortex_core.asgi.types import Scope

_SECURE: Final = frozenset({"https", "wss"})
_SOCKET: Final = frozenset({"ws", "wss"})
_IPV4: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2: a port needs quotes
_QUOTABLE: Final = re.compile(rb'(["\\])')


class Source(NamedTuple):
    """`client` is an address, None where even the peer has none; `scheme` what the client spoke, `host` whom it asked
    for."""

    client: str | None
    scheme: str
    host: bytes

    def forwarded(self) -> bytes:
        """The one element that a service reads in `Forwarded` (RFC 7239): what the three `X-Forwarded-*` say."""
        parts = [b"for=" + _node(self.client)]
        if self.host:
            parts.append(b"host=" + _value(self.host))
        return b";".join([*parts, b"proto=" + self.scheme.encode()])


@dataclass(frozen=True, slots=True)
class Provenance:
    """`tls_in_front`: whoever takes TLS off says nothing, or not to all; clients speak it all the same."""

    address: ClientAddress = field(default_factory=ClientAddress)
    tls_in_front: bool = False

    def __call__(self, scope: Scope) -> Source:
        """`scope` is ASGI's, or has at least its `headers`, `client` and `scheme`."""
        origin = self.address.origin(scope)
        scheme = scope.get("scheme", "http")  # optional in ASGI
        secure = self.tls_in_front or (origin.scheme or scheme) in _SECURE
        told = ("ws" if scheme in _SOCKET else "http") + ("s" if secure else "")
        if origin.host is not None:
            return Source(origin.address, told, origin.host.encode("ascii"))
        return Source(origin.address, told, next((value for name, value in scope["headers"] if name == b"host"), b""))


def _node(client: str | None) -> bytes:
    """Section 6: IPv6 in brackets, and so in quotes; `unknown` for what is no address (a socket of this machine)."""
    if client is not None and ":" in client:
        return b'"[%b]"' % client.partition("%")[0].encode()  # a zone means nothing elsewhere
    return client.encode() if client is not None and _IPV4.fullmatch(client) else b"unknown"


def _value(text: bytes) -> bytes:
    return text if _TOKEN.fullmatch(text) else b'"%b"' % _QUOTABLE.sub(rb"\\\1", text)
