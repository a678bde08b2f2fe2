"""Where a tenant's events lie in Redis, and how they look there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cortex_core.events.backlog import Entry, EntryId
from cortex_core.events.delivery import decoded
from cortex_core.events.envelope import MalformedEvent
from cortex_core.events.errors import name


@dataclass(frozen=True, slots=True)
class Stream:
    """One tenant's events of one topic: `{namespace}:{tenant}:events:{topic}`, a stream and a channel."""

    namespace: str
    tenant: str
    topic: str

    def __post_init__(self) -> None:
        name(self.namespace, "namespace")
        name(self.tenant, "tenant")
        name(self.topic, "topic")

    @property
    def key(self) -> str:
        return f"{self.namespace}:{self.tenant}:events:{self.topic}"

    def dead_letters(self, group: str) -> str:
        return dead_letters_key(self.namespace, self.tenant, group)

    def entry(self, entry_id: EntryId, raw: bytes, attempt: int = 1) -> Entry:
        """The entry, its event read. An event that names another tenant or topic is none of this stream's."""
        event, error = decoded(raw)
        if event is not None and (event.tenant, event.topic) != (self.tenant, self.topic):
            strange = f"an event of {event.tenant}'s {event.topic} in the stream of {self.tenant}'s {self.topic}"
            event, error = None, MalformedEvent(strange)
        return Entry(self.key, self.topic, self.tenant, entry_id, raw, event, error, attempt)


def dead_letters_key(namespace: str, tenant: str, group: str) -> str:
    return f"{name(namespace, 'namespace')}:{name(tenant, 'tenant')}:dead:{name(group, 'group')}"


def event_in(fields: Sequence[Any]) -> bytes:
    """The event among a stream entry's fields; where there is none, all of the fields, so that nothing is lost."""
    members = dict(zip(fields[::2], fields[1::2], strict=True))
    event = members.get(b"event")
    if isinstance(event, bytes):
        return event
    readable = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in members.items()}
    return json.dumps(readable).encode()
