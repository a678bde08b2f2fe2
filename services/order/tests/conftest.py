"""Fakes of the order service's ports, and the app on top of real things."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.eventsourcing import StaleVersion
from cortex_core.eventsourcing.sql import upgrade
from cortex_core.kernel import current
from cortex_core.testing import FakeClock, serving
from cortex_order.domain import Money, Order, OrderEvent, OrderId, OrderNotFound, PaymentToken, Status
from cortex_order.ports import Dues, OrderRow, Page
from cortex_order.settings import Settings
from cortex_order.wiring import MIGRATIONS, build

Key = tuple[str, str]


class MemoryOrders:
    """`Orders` and `Settlement` in a dictionary."""

    def __init__(self) -> None:
        self.events: dict[Key, list[OrderEvent]] = {}
        self.list: dict[Key, Dues] = {}
        self.postponed: dict[Key, datetime] = {}

    async def add(self, order: Order, events: Sequence[OrderEvent], token: PaymentToken) -> None:
        self._append(order.id, events, expected=0)
        self.list[_key(order.id)] = Dues(token)

    async def load(self, order_id: OrderId) -> Order:
        if _key(order_id) not in self.events:
            raise OrderNotFound(order_id)
        return Order.of(self.events[_key(order_id)])

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

    async def postpone(self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None) -> None:
        dues = self.list[_key(order_id)]
        since = dues.waiting_since or waiting_since
        self.list[_key(order_id)] = replace(dues, waiting_since=since, tries=dues.tries + 1)
        self.postponed[_key(order_id)] = until

    async def settled(self, order_id: OrderId) -> None:
        self.list.pop(_key(order_id), None)

    def _append(self, order_id: str, events: Sequence[OrderEvent], *, expected: int) -> None:
        known = self.events.setdefault(_key(order_id), [])
        if events and len(known) != expected:
            raise StaleVersion(order_id, expected, len(known))
        known.extend(events)


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

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if all(order_id != charged for charged, _, _ in self.charges):
            self.charges.append((order_id, total.amount, token.secret))
        return f"ch_{order_id}"

    async def void(self, order_id: OrderId) -> None:
        if self.void_errors:
            raise self.void_errors.pop(0)
        self.voided.append(order_id)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory_orders() -> MemoryOrders:
    return MemoryOrders()


@pytest.fixture
def payments() -> FakePayments:
    return FakePayments()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its tables are made once; each test has a copy."""
    file = tmp_path_factory.mktemp("database") / "order.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{file}", [MIGRATIONS]))
    return file


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    shutil.copy(empty_database, tmp_path / "order.db")
    return Settings(
        env="test",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/order.db",
        payment_timeout=0.3,
        drain=0.2,
    )


@pytest.fixture
def bus(clock: FakeClock) -> MemoryEventBus:
    return MemoryEventBus(clock=clock)


@pytest.fixture
async def client(
    settings: Settings, payments: FakePayments, clock: FakeClock, bus: MemoryEventBus
) -> AsyncIterator[aiohttp.ClientSession]:
    """The service as it runs, but for its clock, its bus and its payment provider."""
    async with serving(build(settings, clock=clock, bus=bus, payments=payments)) as session:
        yield session
