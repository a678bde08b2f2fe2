"""Where a request came from: one answer for what services are told of it, in both lanes and of sockets.

Owns no trust: `asgi/client_address.py` says whose word counts, and the limits count by the same object.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cortex_core.asgi import ClientAddress
from cortex_core.asgi.types import Scope

_SECURE: Final = frozenset({"https", "wss"})
_SOCKET: Final = frozenset({"ws", "wss"})


class Source(NamedTuple):
    """`client` is an address, None where even the peer has none; `scheme` what the client spoke, `host` whom it asked
    for."""

    client: str | None
    scheme: str
    host: bytes


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
