"""Where a tenant's events lie in Redis, and how they look there."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cortex_core.events.backlog import Entry, EntryId
from cortex_core.events.delivery import decoded
from cortex_core.events.envelope import MalformedEvent
from cortex_core.events.errors import name


@dataclass(frozen=True, slots=True)
class Stream:
    """One tenant's events of one topic: `{namespace}:{tenant}:events:{topic}`, a stream and a channel. With a `group`:
    what comes again to that group alone, `{namespace}:{tenant}:replay:{group}:{topic}`."""

    namespace: str
    tenant: str
    topic: str
    group: str | None = None

    def __post_init__(self) -> None:
        name(self.namespace, "namespace")
        name(self.tenant, "tenant")
        name(self.topic, "topic")
        if self.group is not None:
            name(self.group, "group")

    @property
    def key(self) -> str:
        kind = "events" if self.group is None else f"replay:{self.group}"
        return f"{self.namespace}:{self.tenant}:{kind}:{self.topic}"

    def again(self, group: str) -> "Stream":
        """Where what comes to `group` once more waits for it."""
        return Stream(self.namespace, self.tenant, self.topic, group)

    @classmethod
    def of(cls, key: str) -> "Stream | None":
        """The inverse of `key`; None for any other name."""
        with suppress(MalformedEvent):
            match key.split(":"):
                case [namespace, tenant, "events", topic]:
                    return cls(namespace, tenant, topic)
                case [namespace, tenant, "replay", group, topic]:
                    return cls(namespace, tenant, topic, group)
        return None

    def dead_letters(self, group: str) -> str:
        return dead_letters_key(self.namespace, self.tenant, group)

    def entry(self, entry_id: EntryId, raw: bytes, attempt: int = 1) -> Entry:
        """The entry, its event read. An event that names another tenant or topic is none of this stream's."""
        event, error = decoded(raw)
        if event is not None and (event.tenant, event.topic) != (self.tenant, self.topic):
            strange = f"an event of {event.tenant}'s {event.topic} in the stream of {self.tenant}'s {self.topic}"
            event, error = None, MalformedEvent(strange)
        return Entry(self.key, self.topic, self.tenant, entry_id, raw, event, error, attempt)


@lru_cache(maxsize=4_096)
def stream_key(namespace: str, tenant: str, topic: str) -> str:
    """`Stream.key`, looked up. Raises MalformedEvent."""
    return Stream(namespace, tenant, topic).key


def dead_letters_key(namespace: str, tenant: str, group: str) -> str:
    return f"{name(namespace, 'namespace')}:{name(tenant, 'tenant')}:dead:{name(group, 'group')}"


def dead_letters_of(key: str) -> tuple[str, str] | None:
    """Tenant and group of a dead-letter stream; None for any other name."""
    with suppress(MalformedEvent):
        match key.split(":"):
            case [_, tenant, "dead", group]:
                return name(tenant, "tenant"), name(group, "group")
    return None


def marker_key(namespace: str, marker: str) -> str:
    return f"{name(namespace, 'namespace')}:marker:{name(marker, 'marker')}"


def event_in(fields: Sequence[Any]) -> bytes:
    """The event among a stream entry's fields; where there is none, all of the fields, so that nothing is lost."""
    members = dict(zip(fields[::2], fields[1::2], strict=True))
    event = members.get(b"event")
    if isinstance(event, bytes):
        return event
    readable = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in members.items()}
    return json.dumps(readable).encode()
