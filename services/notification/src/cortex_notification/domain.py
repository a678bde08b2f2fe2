"""What goes over a client's line: frames out, messages in. Text, no transport.

Out: `{"type","id","time","data"}` for an event; `welcome`, `pong` and `error` from the service itself. In: `ping`, so
far. Next: choosing what to hear, and catching up.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from cortex_core.kernel import CortexError, Kind
from cortex_core.kernel.clock import rfc3339

PONG: Final = '{"type":"pong"}'


class MalformedMessage(CortexError):
    """A client said something that is no JSON object with a `type`."""

    code, kind = "message.malformed", Kind.INVALID


class UnknownMessage(CortexError):
    """A client said something of a type that means nothing here."""

    code, kind = "message.unknown-type", Kind.INVALID


class OriginRefused(CortexError):
    """A page from elsewhere asks for a visitor's live events. Browsers let it ask, so it is ours to refuse."""

    code, kind = "origin.refused", Kind.FORBIDDEN

    def __init__(self, origin: str) -> None:
        super().__init__(f"pages from {origin[:200]} may not connect here")


def event_frame(type: str, id: str, time: datetime, data: Mapping[str, Any]) -> str:  # noqa: A002 - the wire's words
    return _text({"type": type, "id": id, "time": rfc3339(time), "data": data})


def welcome_frame(client_id: str, time: datetime) -> str:
    return _text({"type": "welcome", "clientId": client_id, "timestamp": rfc3339(time)})


def error_frame(error: CortexError) -> str:
    return _text({"type": "error", "code": error.code, "detail": error.message})


def answer(message: str) -> str:
    """The frame that answers what a client said. Raises MalformedMessage, UnknownMessage."""
    try:
        members = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise MalformedMessage(f"not JSON: {error}") from error
    if not isinstance(members, dict) or not isinstance(members.get("type"), str):
        raise MalformedMessage("a message is an object with a `type`")
    if members["type"] == "ping":
        return PONG
    raise UnknownMessage(f"no message has the type {members['type'][:64]!r}; `ping` is one")


def admits(origin: str | None, hosts: frozenset[str], origins: frozenset[str]) -> bool:
    """Whether a page from `origin` may connect: one of this host's own (`hosts`, as the request names them, with their
    port), one of `origins` (`*` is any), or no page at all: only browsers send an origin, and always do."""
    if origin is None or "*" in origins:
        return True
    origin = origin.lower()
    return origin in origins or origin.partition("://")[2] in hosts


def _text(members: Mapping[str, Any]) -> str:
    return orjson.dumps(members).decode()
