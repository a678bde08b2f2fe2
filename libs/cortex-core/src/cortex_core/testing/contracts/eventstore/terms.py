"""The words the suite is written in."""

from collections.abc import Awaitable, Callable
from typing import Any

from cortex_core.eventsourcing import EventStore, Message, NewEvent

Store = EventStore[Any]
Spoil = Callable[[str, int, str, bytes], Awaitable[None]]
"""(stream, version, column, bytes): writes other bytes into a stored event, past every check."""
SpoilSnapshot = Callable[[str, int, bytes], Awaitable[None]]
"""(stream, version, bytes): the same for a stored snapshot's state."""

TakeOver = Callable[[str, int], Awaitable[None]]
"""(lease, epoch): the lease of the context's tenant changes hands, and its epoch is this now."""


class Refused(Exception):
    """What a test's own work raises to undo its transaction."""


def placed(number: int = 1) -> NewEvent:
    return NewEvent("order.created", {"number": number})


def message(name: str, payload: bytes = b"{}") -> Message:
    return Message(name, "order", "ord_1", payload)


async def ids_pending(store: Store) -> list[str]:
    return [each.id for each in await store.outbox.pending(1_000)]
