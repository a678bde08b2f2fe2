"""ASGI's own vocabulary (https://asgi.readthedocs.io/en/latest/specs/main.html), typed once."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


def header(headers: Headers, name: bytes) -> str | None:
    """The first value of `name` (lower case), as text, or None."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def all_of(headers: Headers, name: bytes) -> list[str]:
    """Every value of `name` (lower case), as text, in their order."""
    return [value.decode("latin-1") for key, value in headers if key == name]
