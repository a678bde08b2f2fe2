"""What a bus itself can have against an event, and what it says when it cannot be reached."""

import re
from functools import lru_cache
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


class MarkerMoved(CortexError):
    """The marker does not stand where its publisher left it: the bus has lost events, or another publishes. Nothing was
    published (of more than 200 events or 1 MiB, those after the move). `value` is where it stands; 0: nowhere."""

    code, kind = "bus.marker-moved", Kind.CONFLICT

    def __init__(self, marker: str, after: int, value: int) -> None:
        super().__init__(f"the marker {marker} stands at {value}, not {after}", marker=marker, after=after, value=value)
        self.value = value


@lru_cache(maxsize=4_096)
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
    try:
        raw = event.to_json()
    except UnicodeEncodeError as error:
        raise MalformedEvent(f"event {event.id} holds half a character, which no text on a wire can") from error
    if len(raw) > MAX_EVENT_SIZE:
        raise EventTooLarge(
            f"event {event.id} of type {event.type} has {len(raw)} bytes; {MAX_EVENT_SIZE} are allowed",
            size=len(raw),
            limit=MAX_EVENT_SIZE,
        )
    return raw
