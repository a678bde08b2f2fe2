"""The peer's event class. It is found by its module's name, so it has to be in one."""

from collections.abc import Mapping
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import DomainEvent


class OrderCreated(DomainEvent):
    """Its fields are those of ours."""

    order_id: str
    customer_id: str
    total: int
    currency: str

    @classmethod
    def of(cls, stream: UUID, version: int, data: Mapping[str, Any]) -> Self:
        return cls(
            originator_id=stream,
            originator_version=version,
            timestamp=cls.create_timestamp(),
            order_id=data["orderId"],
            customer_id=data["customerId"],
            total=data["total"],
            currency=data["currency"],
        )
