"""Where an answer points to: a service that names its own address means the path under which clients know it.

Owns `Location` and `Content-Location`, for both lanes. A service serves the same path without `/api`, so that path is
all there is to know. Relative references and other hosts are left alone.
"""

import re
from typing import Final

from cortex_gateway.ports import Head
from cortex_gateway.routes import PREFIX, SOCKETS

POINTS: Final = b"location:"
"""What no head has, folded, that points anywhere."""

_FIELD: Final = re.compile(
    rb"((?:\A|\r\n)(?:content-)?location:[ \t]*)(?:https?:)?//([^/?#\r\n]*)([^?#\s]*)", re.IGNORECASE
)
_PREFIX: Final = PREFIX.encode()
_AS_THEY_ARE: Final = frozenset(route.path.encode() for route in SOCKETS)


def relocated(head: Head, authority: str) -> Head:
    """`head` as it came from who is asked as `authority` (what `Host` said)."""
    own = authority.lower().encode()

    def public(found: re.Match[bytes]) -> bytes:
        begin, named, path = found.groups()
        if named.lower() != own:
            return found[0]
        path = path or b"/"
        known = path in _AS_THEY_ARE or path == _PREFIX or path.startswith(_PREFIX + b"/")  # it heard of our prefix
        return begin + (path if known else _PREFIX + path)

    fields = _FIELD.sub(public, head.fields)
    return Head(head.status, fields, fields.lower(), head.length)
