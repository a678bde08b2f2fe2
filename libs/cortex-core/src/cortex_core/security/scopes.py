"""What may be done, and which roles may do it: one declared table. Refuses to know who has a role, or which route asks
for which scope: tokens say the one, routes the other.
"""

from collections.abc import Iterable, Mapping
from typing import Final

_READING: Final = frozenset({"orders:read", "analytics:read", "files:read", "notifications:read"})
_WRITING: Final = frozenset({"orders:write", "files:write", "images:write"})

SCOPES: Final[Mapping[str, str]] = {
    "orders:read": "See orders and their history",
    "orders:write": "Place and cancel orders",
    "analytics:read": "See key figures",
    "files:read": "List and fetch files",
    "files:write": "Store files",
    "images:write": "Have images processed",
    "notifications:read": "Hear live events",
    "keys:admin": "Make, see and revoke API keys",
}
"""Every scope that a route of ours asks for, and what it allows."""

ROLES: Final[Mapping[str, frozenset[str]]] = {
    "viewer": _READING,
    "operator": _READING | _WRITING,
    "admin": frozenset(SCOPES),
}

ANONYMOUS_SCOPES: Final = _READING | _WRITING
"""What somebody unknown may do where development lets him: everything in the README, and no keys."""


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """All that `roles` may do. A role that is not in the table may do nothing."""
    return frozenset[str]().union(*(ROLES.get(role, ()) for role in roles))
