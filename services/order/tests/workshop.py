"""A list of orders that wait, and the work on them, both in hand."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cortex_core.kernel import Context, CortexError, Kind, TraceContext, current
from cortex_core.testing import FakeClock
from cortex_order.adapters.processing import Work
from cortex_order.domain import OrderId

START = FakeClock().now()
CLAIM = 30.0
TRACE = TraceContext("1" * 32, "2" * 16)


class Corrupt(CortexError):
    code, kind = "order.corrupt", Kind.INTERNAL


@dataclass
class Entry:
    """A line of the list in memory."""

    work: Work
    due_at: datetime
    claimed: bool = False


class Workshop:
    """A list in memory, and a process that does as each test says. Everything that happens is in `done`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.entries: dict[str, Entry] = {}
        self.done: list[str] = []
        self.contexts: list[Context] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0
        self.trouble: dict[str, Exception] = {}
        self.list_trouble: list[Exception] = []
        self.postpone_trouble: list[Exception] = []
        self.claiming = asyncio.Event()
        self.list_gate = asyncio.Event()
        self.list_gate.set()
        self.locked_by_another = False
        self.claims = 0
        self.stubborn = False
        self.renewed: list[list[str]] = []
        self.renew_trouble: list[Exception] = []
        self.releases = 0
        self.release_trouble: list[Exception] = []
        self.release_gate = asyncio.Event()
        self.release_gate.set()

    async def next_due(self) -> datetime | None:
        if self.list_trouble:
            raise self.list_trouble.pop(0)
        return min((entry.due_at for entry in self.entries.values()), default=None)

    async def claim(self, limit: int, *, until: datetime) -> list[Work]:
        self.claims += 1
        self.claiming.set()
        await self.list_gate.wait()
        due = sorted((e for e in self.entries.values() if e.due_at <= self.clock.now()), key=lambda e: e.due_at)[:limit]
        if self.locked_by_another:
            return []
        for entry in due:
            entry.due_at, entry.claimed = until, True
        return [entry.work for entry in due]

    async def renew(self, works: Sequence[Work], *, until: datetime) -> None:
        if self.renew_trouble:
            raise self.renew_trouble.pop()
        self.renewed.append(sorted(work.order_id for work in works))
        for work in works:
            self.entries[work.order_id].due_at = until

    async def release(self) -> None:
        self.releases += 1
        await self.release_gate.wait()
        if self.release_trouble:
            raise self.release_trouble.pop()
        for entry in self.entries.values():
            if entry.claimed:
                entry.due_at, entry.claimed = self.clock.now(), False

    async def postpone(self, order_id: OrderId, *, until: datetime) -> None:
        if self.postpone_trouble:
            raise self.postpone_trouble.pop()
        old = self.entries[order_id].work
        assert current().tenant == old.tenant
        self.add(order_id, after=(until - START).total_seconds(), tries=old.tries + 1, tenant=old.tenant)

    async def process(self, order_id: OrderId) -> None:
        self.contexts.append(current())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._at_the_gate()
            if order_id in self.trouble:
                raise self.trouble.pop(order_id)
        finally:
            self.at_once -= 1
        self._drop(order_id)
        self.done.append(order_id)

    async def _at_the_gate(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
            await self.gate.wait()  # a connection that is given back to a database that does not answer

    def add(self, name: str, *, after: float = 0.0, tries: int = 0, tenant: str = "public") -> None:
        due = START + timedelta(seconds=after)
        self.entries[name] = Entry(Work(OrderId(name), tenant, tries, TRACE.traceparent), due)

    def _drop(self, order_id: str) -> None:
        self.entries.pop(order_id, None)
