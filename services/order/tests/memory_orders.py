"""Fakes of the order service's ports, in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cortex_core.eventsourcing import StaleVersion
from cortex_core.kernel import Clock, current
from cortex_order.adapters.processing import Work
from cortex_order.domain import (
    Create,
    Money,
    Order,
    OrderCommand,
    OrderEvent,
    OrderId,
    OrderNotFound,
    PaymentToken,
    Status,
    VersionNotFound,
)
from cortex_order.ports import Dues, KeyTaken, Once, OrderRow, Page, Used
from cortex_order.usecases import CarryOut

Key = tuple[str, str]


class MemoryOrders:
    """`Orders`, `Settlement` and its list of work, `Keys`, and of `History` its past, in a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.used: dict[Key, tuple[Used, datetime]] = {}
        self.events: dict[Key, list[OrderEvent]] = {}
        self.list: dict[Key, Dues] = {}
        self.postponed: dict[Key, datetime] = {}

    async def add(
        self, order: Order, events: Sequence[OrderEvent], token: PaymentToken, once: Once | None = None
    ) -> None:
        if once is not None:
            if await self.find(once.key):
                raise KeyTaken
            self.used[_key(once.key)] = (Used(once.fingerprint, order.id), once.until)
        self._append(order.id, events, expected=0)
        self.list[_key(order.id)] = Dues(token)

    async def load(self, order_id: OrderId) -> Order:
        if _key(order_id) not in self.events:
            raise OrderNotFound(order_id)
        return Order.of(self.events[_key(order_id)])

    async def find(self, key: str) -> Used | None:
        used, until = self.used.get(_key(key), (None, self.clock.now()))
        return used if until > self.clock.now() else None

    async def at(self, order_id: OrderId, version: int) -> Order:
        events = self.events.get(_key(order_id), [])
        if not events:
            raise OrderNotFound(order_id)
        if len(events) < version:
            raise VersionNotFound(order_id, len(events))
        return Order.of(events[:version])

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        after = deepcopy(order)
        after.apply(events)
        self._append(order.id, events, expected=order.version)
        order.apply(events)
        if order.is_settled:
            self.list.pop(_key(order.id), None)

    async def page(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        tenant = current().tenant
        orders = [Order.of(events) for (owner, _), events in self.events.items() if owner == tenant]
        chosen = sorted((each for each in orders if status in {None, each.status}), key=lambda each: each.id)
        rows = [_row(each) for each in reversed(chosen) if after is None or each.id < after]
        return Page(rows[:limit], rows[limit - 1].order_id if len(rows) > limit else None)

    async def dues(self, order_id: OrderId) -> Dues | None:
        return self.list.get(_key(order_id))

    async def postpone(
        self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None, silent: int = 0
    ) -> None:
        dues = self.list.get(_key(order_id))
        if dues is None:
            return
        since, unheard = dues.waiting_since or waiting_since, dues.silent + silent
        self.list[_key(order_id)] = replace(dues, waiting_since=since, tries=dues.tries + 1, silent=unheard)
        self.postponed[_key(order_id)] = until

    async def settled(self, order_id: OrderId) -> None:
        self.list.pop(_key(order_id), None)

    async def next_due(self) -> datetime | None:
        return min((self._due(key) for key in self.list), default=None)

    async def claim(self, limit: int, *, until: datetime) -> list[Work]:
        due = sorted((key for key in self.list if self._due(key) <= self.clock.now()), key=self._due)[:limit]
        self.postponed |= dict.fromkeys(due, until)
        return [Work(OrderId(order_id), tenant, self.list[tenant, order_id].tries) for tenant, order_id in due]

    async def renew(self, works: Sequence[Work], *, until: datetime) -> None:
        self.postponed |= {(work.tenant, work.order_id): until for work in works}

    async def release(self) -> None:
        """There is nobody else."""

    def _due(self, key: Key) -> datetime:
        return self.postponed.get(key, datetime.min.replace(tzinfo=UTC))

    def _append(self, order_id: str, events: Sequence[OrderEvent], *, expected: int) -> None:
        known = self.events.setdefault(_key(order_id), [])
        if events and len(known) != expected:
            raise StaleVersion(order_id, expected, len(known))
        known.extend(events)


@dataclass
class DirectCommands:
    """`OrderCommands` without actors: nothing is remembered between two commands."""

    carry_out: CarryOut

    async def create(self, order_id: OrderId, command: Create, once: Once | None = None) -> Order:
        return await self.carry_out.create(order_id, command, once)

    async def execute(self, order_id: OrderId, command: OrderCommand) -> Order:
        return await self.carry_out(None, order_id, command)


def _key(order_id: str) -> Key:
    return current().tenant, order_id


def _row(order: Order) -> OrderRow:
    total, reason = order.total, order.reason.value if order.reason else None
    who, when = order.customer_id.value, order.created_at
    return OrderRow(order.id, who, order.status, total.amount, total.currency, order.version, when, reason)


@dataclass
class FakePayments:
    """Answers as it is told: each error once, in order, then a charge. A charge is made once an order."""

    errors: list[Exception] = field(default_factory=list)
    void_errors: list[Exception] = field(default_factory=list)
    charges: list[tuple[str, int, str]] = field(default_factory=list)
    voided: list[str] = field(default_factory=list)
    calls: int = 0
    gate: asyncio.Event | None = None  # where set, a call waits for it
    meanwhile: Callable[[], Awaitable[object]] | None = None  # happens while the provider is asked

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        if all(order_id != charged for charged, _, _ in self.charges):
            self.charges.append((order_id, total.amount, token.secret))
        return f"ch_{order_id}"

    async def void(self, order_id: OrderId) -> None:
        if self.void_errors:
            raise self.void_errors.pop(0)
        self.voided.append(order_id)
