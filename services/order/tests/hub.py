"""The whole service, its provider and its bus, as a journey goes through them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.testing import FakeClock, eventually, serving
from cortex_order.sandbox import Sandbox
from cortex_order.settings import Settings
from cortex_order.wiring import build

from .provider_gate import Gate


@dataclass
class Hub:
    """The service, its provider, and what was heard on the bus. `open()` again on the same database is a restart."""

    settings: Settings
    clock: FakeClock
    sandbox: Sandbox
    gate: Gate
    bus: MemoryEventBus
    heard: list[CloudEvent] = field(default_factory=list)
    client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[aiohttp.ClientSession]:
        settings = self.settings.model_copy(update=changes)
        bus = MemoryEventBus(clock=self.clock)

        async def hear(event: CloudEvent) -> None:
            self.heard.append(event)

        await bus.consume("test", ["order"], hear)
        async with serving(build(settings, clock=self.clock, bus=bus)) as self.client:
            yield self.client

    async def place(self, token: str = "tok_ok") -> str:
        assert self.client is not None
        body = {
            "customerId": "cus_1",
            "currency": "EUR",
            "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
            "paymentToken": token,
        }
        async with self.client.post("/orders", json=body) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["orderId"])

    async def order(self, order_id: str) -> dict[str, Any]:
        assert self.client is not None
        async with self.client.get(f"/orders/{order_id}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def until(self, order_id: str, *statuses: str, step: float = 0.05) -> dict[str, Any]:
        """Lets time pass, `step` seconds at a time, until the order stands so."""

        async def stands() -> dict[str, Any]:
            await self.clock.advance(step)
            order = await self.order(order_id)
            assert order["status"] in statuses, order
            return order

        return await eventually(stands, within=60.0)

    async def until_asked(self, order_id: str) -> None:
        """Lets time pass until the provider has heard of the order: a call that did not come through is tried again."""
        await eventually(self.after(0.05, lambda: order_id in self.sandbox.accounts), within=60.0)

    async def until_voided(self, order_id: str) -> None:
        await eventually(self.after(0.05, lambda: self.sandbox.accounts[order_id].voided), within=60.0)

    def after(self, seconds: float, condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            await self.clock.advance(seconds)
            return condition()

        return ask

    def told(self, order_id: str) -> list[str]:
        """Once by its id, as a consumer takes it: a bus that begins empty is told again what the last one was."""
        return [event.type for event in {event.id: event for event in self.heard}.values() if event.subject == order_id]

    def charges(self, order_id: str) -> list[str]:
        account = self.sandbox.accounts.get(order_id)
        return [] if account is None else [charge["status"] for charge in account.charges.values()]
