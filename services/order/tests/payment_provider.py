"""A provider in memory that takes its time by the test's clock, and what a test wishes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cortex_core.testing import FakeClock
from cortex_order.domain import Currency, Money, OrderId, PaymentToken
from cortex_order.ports import PaymentTimeout

TOTAL = Money(2500, Currency("EUR"))
OK, SILENT = PaymentToken("tok_ok"), PaymentToken("tok_timeout")
CLOSED, OPEN = 0, 2


@dataclass
class Provider:
    """`Payments` that takes its time by the test's clock. `trouble`, where set, is what everybody gets."""

    clock: FakeClock
    timeout: float = 2.0
    latency: float = 0.1
    trouble: Callable[[], Exception] | None = None
    hangs: bool = False
    script: list[Exception] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)
    voided: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        await self._call(f"charge {order_id}", silent=token == SILENT)
        if order_id not in self.charged:
            self.charged.append(order_id)
        return f"ch_{order_id}"

    async def void(self, order_id: OrderId) -> None:
        await self._call(f"void {order_id}", silent=False)
        self.voided.append(order_id)

    async def _call(self, what: str, *, silent: bool) -> None:
        self.calls.append(what)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if silent or self.hangs:
                await self.clock.sleep(self.timeout)
                raise PaymentTimeout("silent")
            await self.clock.sleep(self.latency)
            if self.trouble is not None:
                raise self.trouble()
            if self.script:
                raise self.script.pop(0)
        finally:
            self.at_once -= 1


@dataclass
class Wishes:
    """`Wanted`, as a test says; what `troubles` holds is raised first."""

    unwanted: set[str] = field(default_factory=set)
    troubles: list[Exception] = field(default_factory=list)

    async def __call__(self, order_id: OrderId) -> bool:
        if self.troubles:
            raise self.troubles.pop(0)
        return order_id not in self.unwanted
