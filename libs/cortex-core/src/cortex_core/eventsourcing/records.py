"""What goes into a store and what comes out: events and messages, and the JSON in between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cortex_core.eventsourcing.errors import CorruptEvent, EventTooLarge, UnstorableEvent
from cortex_core.eventsourcing.names import check_names
from cortex_core.kernel.context import current
from cortex_core.kernel.ids import new_id

MAX_BYTES: Final = 1024 * 1024
"""Default bound of one event's data, in bytes of UTF-8."""

MAX_MESSAGE: Final = 256 * 1024
"""Bound of one message's payload, in bytes: what the bus takes. One that is refused for good would hold up all behind
it, so it is refused where it is written."""

_MAX_SCHEMA_VERSION: Final = 2**31 - 1

# The standard library's encoder: orjson would write not-a-number as null, and an event must not change on its way down.
_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact about to become one. `data` is JSON-able; what is read back is what JSON makes of it. `schema_version` is
    1 to 2³¹-1."""

    type: str
    data: Mapping[str, Any]
    schema_version: int = 1
    id: str = field(default_factory=lambda: new_id("evt"))


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A fact. `position` orders the whole store; `version` its stream: 1, 2, … without gaps.

    `metadata` says under what it was written, as far as that was known: `traceparent`, `principal`, `request_id`.
    """

    position: int
    tenant: str
    stream: str
    version: int
    id: str
    type: str
    schema_version: int
    time: datetime
    data: Mapping[str, Any]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the outbox. `payload` is a CloudEvent in JSON; `id` is the same however often it is published.

    `sequence` is its place among all messages of the store, from 1: the store gives it, and the relay goes by it.
    """

    id: str
    topic: str
    subject: str
    payload: bytes
    sequence: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SentBatches:
    """Messages that were sent, in the order they were; `number` is that of the last batch among them."""

    messages: list[Message]
    number: int


def encode(event: NewEvent, limit: int) -> str:
    """`event.data` as it is stored; the rest is checked. Raises UnstorableEvent, EventTooLarge (`limit` in bytes)."""
    try:
        text = _encode(event.data)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise UnstorableEvent(f"the data of {event.type} cannot be stored: {error}", type=event.type) from error
    if not isinstance(event.data, Mapping):
        raise UnstorableEvent(f"the data of {event.type} is not an object", type=event.type)
    if size > limit:
        raise EventTooLarge(
            f"{event.type} has {size} bytes of data; {limit} is the most", type=event.type, size=size, limit=limit
        )
    version = event.schema_version
    if type(version) is not int or not 1 <= version <= _MAX_SCHEMA_VERSION:
        raise UnstorableEvent(f"{event.type} has a schema version that is no number from 1 to 2³¹-1", type=event.type)
    check_names(event.type, event.id)
    return text


def decode(tenant: str, stream: str, version: int, what: str, text: str | bytes) -> dict[str, Any]:
    """The inverse of `encode`. Raises CorruptEvent, which names the row."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptEvent(tenant, stream, version, f"its {what}: {error}") from error
    if not isinstance(value, dict):
        raise CorruptEvent(tenant, stream, version, f"its {what} is no object")
    return value


def check_messages(messages: Sequence[Message]) -> None:
    """Their payloads, their sizes and their names. Raises EventTooLarge, UnstorableEvent."""
    for message in messages:
        check_names(message.id, message.topic, message.subject)
        if not isinstance(message.payload, bytes):
            raise UnstorableEvent(f"the payload of message {message.id} is not bytes", id=message.id)
        if len(message.payload) > MAX_MESSAGE:
            raise EventTooLarge(
                f"message {message.id} has {len(message.payload)} bytes; {MAX_MESSAGE} is the most",
                id=message.id,
                size=len(message.payload),
                limit=MAX_MESSAGE,
            )


def surroundings() -> str:
    """The metadata of an event written now, as it is stored: what the context knows, and nothing it does not."""
    context = current()
    principal = context.principal
    known = {
        "traceparent": context.trace and context.trace.traceparent,
        "principal": principal and principal.subject,
        "principal_key": principal and principal.key_id,
        "request_id": context.request_id,
    }
    return _encode({name: value for name, value in known.items() if value is not None})
