"""What a bus itself can have against an event, and what it says when it cannot be reached."""

import re
from typing import Final

from cortex_core.events.envelope import CloudEvent, MalformedEvent
from cortex_core.kernel.errors import CortexError, Kind

MAX_EVENT_SIZE: Final = 256 * 1024  # bytes of JSON: an event says what happened; what is big has an address
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


class BusUnavailable(CortexError):
    """The bus did not answer in time, or not as a bus. Nothing is known about what was asked of it: ask again."""

    code, kind = "bus.unavailable", Kind.UNAVAILABLE


class EventTooLarge(CortexError):
    """More than `MAX_EVENT_SIZE` bytes of JSON."""

    code, kind = "event.too-large", Kind.TOO_LARGE


def name(text: str, what: str) -> str:
    """`text`, fit to be a part of a key: a colon in a tenant would let it name another tenant's keys. Raises
    MalformedEvent."""
    if not _NAME.fullmatch(text):
        raise MalformedEvent(f"{what} {text[:40]!r} is not 1 to 128 of A-Z a-z 0-9 . _ -")
    return text


def encoded(event: CloudEvent) -> bytes:
    """The event as it travels. Raises EventTooLarge, and MalformedEvent for a tenant or topic that makes no key."""
    name(event.tenant, "tenant")
    name(event.topic, "topic")
    raw = event.to_json()
    if len(raw) > MAX_EVENT_SIZE:
        raise EventTooLarge(
            f"event {event.id} of type {event.type} has {len(raw)} bytes; {MAX_EVENT_SIZE} are allowed",
            size=len(raw),
            limit=MAX_EVENT_SIZE,
        )
    return raw
