"""The words the suite is written in."""

from collections.abc import Awaitable, Callable
from typing import Any

from cortex_core.eventsourcing import EventStore, Message, NewEvent

Store = EventStore[Any]
Spoil = Callable[[str, int, str, bytes], Awaitable[None]]
"""(stream, version, column, bytes): writes other bytes into a stored event, past every check."""


class Refused(Exception):
    """What a test's own work raises to undo its transaction."""


def placed(number: int = 1) -> NewEvent:
    return NewEvent("order.created", {"number": number})


def message(name: str, payload: bytes = b"{}") -> Message:
    return Message(name, "order", "ord_1", payload)


async def ids_pending(store: Store) -> list[str]:
    return [each.id for each in await store.outbox.pending(1_000)]
