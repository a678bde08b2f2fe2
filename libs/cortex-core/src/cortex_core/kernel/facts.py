"""A fact that reached a consumer, without the bus that brought it: so that use cases need not know the bus."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Delivered(Generic[T_co]):
    """An event's data, typed, and what a consumer may need to know about it.

    `id` is unique per event and the key of idempotency: the same event can come again. `subject` is the aggregate's id;
    `version` its version after the event, where the publisher gave one (1, 2, …: dense per subject).
    """

    id: str
    type: str
    time: datetime
    tenant: str
    subject: str
    version: int | None
    data: T_co
