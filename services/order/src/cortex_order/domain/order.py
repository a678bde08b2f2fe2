"""The aggregate: an order as the sum of its events. `decide_*` says what would happen; `apply` makes it so.

pending → processing → completed | failed | cancelled, and pending → cancelled. An order that is called off while a
charge may be under way is cancelled at once; settled it is when the provider has confirmed that no charge stands.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, Self, assert_never

from cortex_core.kernel import new_id
from cortex_order.domain.commands import Cancel, Complete, Fail, OrderCommand, Process
from cortex_order.domain.errors import IllegalTransition, OrderNotFound, StaleOrder
from cortex_order.domain.events import (
    FailureReason,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderEvent,
    OrderFailed,
    ProcessingStarted,
)
from cortex_order.domain.lines import CustomerId, Item, total_of
from cortex_order.domain.money import Money

OrderId = NewType("OrderId", str)

_ORDER_ID = re.compile(r"ord_[0-9a-f]{32}", re.ASCII)


def order_id(text: str) -> OrderId:
    """Raises OrderNotFound for what can be no order's id."""
    if not _ORDER_ID.fullmatch(text):
        raise OrderNotFound(text)
    return OrderId(text)


def new_order_id() -> OrderId:
    """Ids grow with time, and nobody knows one before its order does."""
    return OrderId(new_id("ord"))


class Status(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


@dataclass(slots=True)
class Order:
    """See the module. `version` counts the events applied: 1 is a new order. `was_taken_up`: a charge may have been
    made, or be under way."""

    id: OrderId
    customer_id: CustomerId
    items: tuple[Item, ...]
    total: Money
    created_at: datetime
    status: Status = Status.PENDING
    version: int = 1
    charge_id: str | None = None
    reason: FailureReason | None = None
    was_taken_up: bool = False

    @staticmethod
    def decide_creation(
        customer_id: CustomerId,
        items: Sequence[Item],
        currency_code: str,
        now: datetime,
        order_id: OrderId | None = None,
    ) -> list[OrderEvent]:
        """A new order, under a new id unless told which. Raises EmptyOrder, TooManyItems, UnknownCurrency,
        AmountOutOfBounds."""
        total = total_of(items, currency_code)
        return [OrderCreated(order_id or new_order_id(), customer_id, tuple(items), total, now)]

    def decide(self, command: OrderCommand, now: datetime) -> list[OrderEvent]:
        """What `command` would make happen: nothing, where it has happened. Raises IllegalTransition, StaleOrder."""
        match command:
            case Process():
                return self.decide_processing()
            case Complete(charge_id=charge_id):
                return self.decide_completion(charge_id, now)
            case Fail(reason=reason):
                return self.decide_failure(reason, now)
            case Cancel(if_version=version):
                return self.decide_cancellation(now, if_version=version)
            case _:
                assert_never(command)

    def decide_processing(self) -> list[OrderEvent]:
        if self.status is Status.PROCESSING:
            return []  # taken up again after an interruption
        self._require(Status.PENDING, wanted=Status.PROCESSING)
        return [ProcessingStarted(self.id)]

    def decide_completion(self, charge_id: str, now: datetime) -> list[OrderEvent]:
        if self.status is Status.COMPLETED and self.charge_id == charge_id:
            return []  # the same receipt twice is one fact
        self._require(Status.PROCESSING, wanted=Status.COMPLETED)
        return [OrderCompleted(self.id, charge_id, self._age(now))]

    def decide_failure(self, reason: FailureReason, now: datetime) -> list[OrderEvent]:
        if self.status is Status.FAILED and self.reason is reason:
            return []
        self._require(Status.PROCESSING, wanted=Status.FAILED)
        return [OrderFailed(self.id, reason, self._age(now))]

    def decide_cancellation(self, now: datetime, *, if_version: int | None = None) -> list[OrderEvent]:
        if if_version is not None and if_version != self.version:
            raise StaleOrder(self.id, self.version)
        if self.status is Status.CANCELLED:
            return []  # called off before: whoever asks again gets the same answer
        self._require(Status.PENDING, Status.PROCESSING, wanted=Status.CANCELLED)
        return [OrderCancelled(self.id, self._age(now))]

    @property
    def is_settled(self) -> bool:
        """Whether the payment provider has said its last word, or has none to say. An order that failed because the
        provider was silent, or was called off while it was asked, may have been charged all the same."""
        match self.status:
            case Status.FAILED:
                return self.reason is FailureReason.DECLINED
            case Status.CANCELLED:
                return not self.was_taken_up
        return self.status is Status.COMPLETED

    @classmethod
    def of(cls, events: Iterable[OrderEvent]) -> Self:
        """The order these events tell of, the oldest first. Raises ValueError where that is no order's story."""
        first, *rest = events
        if not isinstance(first, OrderCreated):
            raise ValueError(f"an order begins with its creation, not with {type(first).__name__}")  # noqa: TRY004 - the order of events is wrong, not a type
        order = cls(OrderId(first.order_id), first.customer_id, first.items, first.total, first.created_at)
        order.apply(rest)
        return order

    def apply(self, events: Iterable[OrderEvent]) -> None:
        """Makes it so. Judges nothing: what has happened has happened."""
        for event in events:
            self._apply(event)
            self.version += 1

    def _apply(self, event: OrderEvent) -> None:
        match event:
            case ProcessingStarted():
                self.status, self.was_taken_up = Status.PROCESSING, True
            case OrderCompleted(charge_id=charge_id):
                self.status, self.charge_id = Status.COMPLETED, charge_id
            case OrderFailed(reason=reason):
                self.status, self.reason = Status.FAILED, reason
            case OrderCancelled():
                self.status = Status.CANCELLED
            case OrderCreated():
                raise ValueError(f"order {self.id} was created twice")
            case _:
                assert_never(event)

    def _require(self, *statuses: Status, wanted: Status) -> None:
        if self.status not in statuses:
            raise IllegalTransition(self.id, self.status, wanted)

    def _age(self, now: datetime) -> float:
        return max(0.0, (now - self.created_at).total_seconds())  # a clock set back makes no negative durations
