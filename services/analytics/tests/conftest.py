"""A ledger that is the definition of the figures, the service on a memory bus, and its events."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_analytics.domain import Created, Durations, Ended, Fact, Figures, Outcome, cell_of
from cortex_analytics.ports import Ledger, LedgerUnavailable
from cortex_analytics.settings import Settings
from cortex_analytics.wiring import build
from cortex_contracts import EventData, OrderCancelled, OrderCompleted, OrderCreated, OrderFailed
from cortex_core.events import CloudEvent, EventBus, MemoryEventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.testing import serving


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database may take as long as a busy machine needs: how long it may is tested where that is the point."""
    monkeypatch.setitem(open_event_store.__wrapped__.__kwdefaults__, "busy_timeout", 30.0)


@dataclass
class MemoryLedger:
    """Keeps the facts themselves, by event id, and counts them when asked: slow, and plainly right."""

    facts: dict[str, dict[str, Fact]] = field(default_factory=dict)
    broken: bool = False

    async def record(self, tenant: str, event_id: str, fact: Fact) -> bool:
        self._check()
        if isinstance(fact, Ended) and fact.seconds is not None:
            cell_of(fact.seconds)
        known = self.facts.setdefault(tenant, {})
        if event_id in known:
            return False
        known[event_id] = fact
        return True

    async def figures(self, tenant: str) -> Figures:
        self._check()
        return reference(list(self.facts.get(tenant, {}).values()))

    async def totals(self) -> Figures:
        self._check()
        tenants = [reference(list(facts.values())) for facts in self.facts.values()]
        return reduce(added, tenants, Figures())

    def _check(self) -> None:
        if self.broken:
            raise LedgerUnavailable("the disk is full")


def reference(facts: list[Fact]) -> Figures:
    """What the figures are, of facts that are each there once."""
    created = {fact.order_id for fact in facts if isinstance(fact, Created)}
    ended = [fact for fact in facts if isinstance(fact, Ended)]
    outcomes = [fact.outcome for fact in ended]
    seconds = [fact.seconds for fact in ended if fact.seconds is not None]
    return Figures(
        active=len(created - {fact.order_id for fact in ended}),
        created=len(created),
        completed=outcomes.count(Outcome.COMPLETED),
        failed=outcomes.count(Outcome.FAILED),
        cancelled=outcomes.count(Outcome.CANCELLED),
        durations=reduce(Durations.plus, seconds, Durations()),
    )


def added(one: Figures, other: Figures) -> Figures:
    cells = dict(one.durations.cells)
    for cell, count in other.durations.cells.items():
        cells[cell] = cells.get(cell, 0) + count
    total = one.durations.total_microseconds + other.durations.total_microseconds
    return Figures(
        one.active + other.active,
        one.created + other.created,
        one.completed + other.completed,
        one.failed + other.failed,
        one.cancelled + other.cancelled,
        Durations(cells, total),
    )


@pytest.fixture
def memory_ledger() -> MemoryLedger:
    return MemoryLedger()


@dataclass
class Analytics:
    """The service under test."""

    http: ClientSession
    bus: EventBus

    async def publish(self, *events: CloudEvent) -> None:
        await self.bus.publish(events)

    async def figures(self, tenant: str = "public") -> dict[str, Any]:
        async with self.http.get("/analytics/metrics", headers={"X-Cortex-Tenant": tenant}) as answer:
            assert answer.status == 200, await answer.text()
            figures = await answer.json()
            assert isinstance(figures, dict)
            return figures

    async def prometheus(self) -> str:
        async with self.http.get("/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    async def counted(self, tenant: str = "public", **totals: int) -> bool:
        """For `eventually`: whether the totals are these."""
        orders = (await self.figures(tenant))["orders"]
        return all(orders[name] == value for name, value in totals.items())


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

Serve = Callable[..., AbstractAsyncContextManager[Analytics]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """`async with serve() as analytics`: again on the same database each time within a test."""

    @asynccontextmanager
    async def start(
        *, bus: EventBus | None = None, ledger: Ledger | None = None, **settings: Any
    ) -> AsyncIterator[Analytics]:
        bus = bus or MemoryEventBus()
        settings.setdefault("database_url", f"sqlite+aiosqlite:///{tmp_path}/analytics.db")
        settings.setdefault("exporter_port", 0)
        async with serving(
            build(
                Settings(env="test", tenants=frozenset({"public", "acme", "umbrella"}), **settings),
                bus=bus,
                ledger=ledger,
            )
        ) as http:
            yield Analytics(http, bus)

    return start


@pytest.fixture
async def analytics(serve: Serve) -> AsyncIterator[Analytics]:
    async with serve() as started:
        yield started


def event(data: EventData, order_id: str, version: int, tenant: str) -> CloudEvent:
    return CloudEvent(
        data.type, "cortex/order", order_id, data.wire(), tenant=tenant, version=version, dataschema=data.dataschema()
    )


@pytest.fixture
def created() -> Callable[..., CloudEvent]:
    def make(order_id: str, *, tenant: str = "public") -> CloudEvent:
        data = OrderCreated(order_id=order_id, customer_id="cus_1", total=2500, currency="EUR", created_at=NOON)
        return event(data, order_id, 1, tenant)

    return make


@pytest.fixture
def completed() -> Callable[..., CloudEvent]:
    def make(order_id: str, seconds: float = 0.5, *, tenant: str = "public") -> CloudEvent:
        data = OrderCompleted(
            order_id=order_id, customer_id="cus_1", total=2500, currency="EUR", processing_time=seconds
        )
        return event(data, order_id, 3, tenant)

    return make


@pytest.fixture
def failed() -> Callable[..., CloudEvent]:
    def make(order_id: str, *, tenant: str = "public") -> CloudEvent:
        data = OrderFailed(order_id=order_id, customer_id="cus_1", reason="declined", processing_time=0.25)
        return event(data, order_id, 3, tenant)

    return make


@pytest.fixture
def cancelled() -> Callable[..., CloudEvent]:
    def make(order_id: str, *, tenant: str = "public") -> CloudEvent:
        return event(OrderCancelled(order_id=order_id, customer_id="cus_1", processing_time=0.25), order_id, 2, tenant)

    return make
