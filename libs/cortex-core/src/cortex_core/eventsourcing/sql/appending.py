"""One append, from the caller's decision to rows, and what may be said to it: the words a group is written in.

Owns the verdict that a look at the database allows. Refuses to know the database: `writing.py` looks and inserts, and
`committing.py` begins and commits, for many appends at once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import StaleVersion
from cortex_core.eventsourcing.fencing import Fence, Fenced, check_fence
from cortex_core.eventsourcing.names import check_names
from cortex_core.eventsourcing.records import Message, NewEvent, encode, surroundings
from cortex_core.kernel.context import current

Also = Callable[[AsyncConnection], Awaitable[None]]

Verdict = Fenced | StaleVersion | None
"""None: it may stand."""

Key = tuple[str, str]
"""(tenant, stream), or (tenant, lease)."""

EVENT: Final = ("tenant", "stream", "version", "id", "type", "schema_version", "data", "metadata", "epoch")
MESSAGE: Final = ("tenant", "id", "topic", "subject", "payload")
"""What a row's places are called; its time stands beside it, for both databases write times differently."""

_ROW: Final = 256
"""Bytes that a row takes beside its data or payload, for the bounds of a group."""


@dataclass(slots=True, eq=False)
class Append:
    """What one caller wants to be true. `context` is the caller's, for `also` to run in. `late`: that has not come to
    its end in time."""

    key: Key
    expected: int
    time: datetime
    events: list[tuple[Any, ...]]
    messages: list[tuple[Any, ...]]
    fence: Fence | None = None
    also: Also | None = None
    context: Context | None = None
    late: bool = False
    rows: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = len(self.events) + len(self.messages)
        self.size = self.rows * _ROW
        for event in self.events:
            self.size += len(event[6])
        for message in self.messages:
            self.size += len(message[4])

    @property
    def lease(self) -> Key | None:
        return None if self.fence is None else (self.key[0], self.fence.name)


@dataclass(slots=True)
class View:
    """What the transaction has seen, kept up to date with what it has accepted since."""

    versions: dict[Key, int]
    epochs: dict[Key, int]
    leases: Mapping[Key, int]

    def verdict(self, append: Append) -> Verdict:
        """None counts the append as done, so that the next one may build on it."""
        stream = append.key[1]
        if append.fence is not None and append.lease is not None:
            try:
                check_fence(stream, append.fence, self.leases.get(append.lease, 0), self.epochs.get(append.key, 0))
            except Fenced as fenced:
                return fenced
        actual = self.versions.get(append.key, 0)
        if actual != append.expected:
            return StaleVersion(stream, append.expected, actual)
        self.versions[append.key] = actual + len(append.events)
        if append.fence is not None and append.events:
            self.epochs[append.key] = append.fence.epoch
        return None


def event_rows(
    stream: str, events: Sequence[NewEvent], expected_version: int, fence: Fence | None, max_bytes: int
) -> list[tuple[Any, ...]]:
    """Raises UnstorableEvent, EventTooLarge."""
    check_names(stream)
    tenant, metadata, epoch = current().tenant, surroundings(), 0 if fence is None else fence.epoch
    return [
        (tenant, stream, version, each.id, each.type, each.schema_version, encode(each, max_bytes), metadata, epoch)
        for version, each in enumerate(events, expected_version + 1)
    ]


def message_rows(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    tenant = current().tenant
    return [(tenant, each.id, each.topic, each.subject, each.payload) for each in messages]
