"""Whom a limit is for: functions from a request to a key. None: there is nobody of that sort in this request.

A key says of what sort it is (`client:203.0.113.7`), so that one policy can be applied to several. Credentials never
become keys: what is counted, and could be logged, is their digest.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from cortex_core.asgi.client_address import ClientAddress
from cortex_core.asgi.types import Scope, header
from cortex_core.kernel.context import current

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

KeyFunction = Callable[[Scope], str | None]


def by_client(address: ClientAddress | None = None) -> KeyFunction:
    """The client's address, of IPv6 its network. Without an `address` no proxy is trusted: the peer is the client."""
    found = address or ClientAddress()

    def key(scope: Scope) -> str:
        return f"client:{found.group(scope)}"

    return key


def by_user() -> KeyFunction:
    """The principal of the context, within its tenant (a slash in the tenant's name is escaped); None for an anonymous
    request. Authentication comes before."""

    def key(scope: Scope) -> str | None:  # noqa: ARG001 - a key function's signature
        context = current()
        if context.principal is None or context.principal.method == "anonymous":
            return None
        return user_key(context.tenant, context.principal.subject)

    return key


def by_key() -> KeyFunction:
    """The API key that the principal of the context showed, since authentication has checked it; None for whoever
    showed something else. Each of a subject's keys has a limit of its own."""

    def key(scope: Scope) -> str | None:  # noqa: ARG001 - a key function's signature
        principal = current().principal
        return None if principal is None or principal.key_id is None else api_key_key(principal.key_id)

    return key


def user_key(tenant: str, subject: str) -> str:
    """What `by_user` gives, for who has no scope to show."""
    return f"user:{tenant.replace('%', '%25').replace('/', '%2F')}/{subject}"


def api_key_key(key_id: str) -> str:
    """The same of `by_key`."""
    return f"key:{key_id}"


def by_tenant() -> KeyFunction:
    """The tenant of the context: everybody of `public` together, where nobody has said another.

    Who names a tenant that is not served here is of `public`, too: `KnownTenant` refuses him within the limiter, and
    what he asks counts."""

    def key(scope: Scope) -> str:  # noqa: ARG001 - a key function's signature
        return f"tenant:{current().tenant}"

    return key


def by_api_key(name: str = "x-api-key") -> KeyFunction:
    """The digest of the header `name`; None where it is absent. It need not be valid: pair it with `by_client`, or
    whoever makes keys up is a new client each time."""
    wanted = name.lower().encode("latin-1")

    def key(scope: Scope) -> str | None:
        given = header(scope["headers"], wanted)
        return f"key:{blake2b(given.encode(), digest_size=16).hexdigest()}" if given else None

    return key


def by_route(*templates: str) -> KeyFunction:
    """The method (HEAD is GET) and the first of `templates` that the path fits (`/orders/{orderId}`: a segment for each
    brace), else `unmatched`: whatever paths are made up, there are no more keys than routes."""
    patterns = [(re.compile(re.sub(r"\\\{[^/]*?\\\}", "[^/]+", re.escape(text))), text) for text in templates]

    def key(scope: Scope) -> str:
        method = scope.get("method", "GET")
        method = "GET" if method == "HEAD" else method
        found = next((text for pattern, text in patterns if pattern.fullmatch(scope["path"])), None)
        return "route:unmatched" if found is None or method not in _METHODS else f"route:{method} {found}"

    return key
