"""From the order placed to the order closed: the whole service on its real database, with the real sandbox provider."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.testing import FakeClock, eventually, free_port, serving
from cortex_order.sandbox import Sandbox
from cortex_order.settings import Settings
from cortex_order.wiring import build


@dataclass
class Hub:
    """The service, its provider, and what was heard on the bus. `open()` again on the same database is a restart."""

    settings: Settings
    clock: FakeClock
    sandbox: Sandbox
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

    async def until(self, order_id: str, *statuses: str) -> dict[str, Any]:
        """Lets time pass until the order stands so."""

        async def stands() -> dict[str, Any]:
            await self.clock.advance(0.05)
            order = await self.order(order_id)
            assert order["status"] in statuses, order
            return order

        return await eventually(stands, within=15.0)

    def told(self, order_id: str) -> list[str]:
        """Once by its id, as a consumer takes it: a bus that begins empty is told again what the last one was."""
        return [event.type for event in {event.id: event for event in self.heard}.values() if event.subject == order_id]

    def charges(self, order_id: str) -> list[str]:
        account = self.sandbox.accounts.get(order_id)
        return [] if account is None else [charge["status"] for charge in account.charges.values()]


@pytest.fixture
async def hub(settings: Settings, clock: FakeClock) -> AsyncIterator[Hub]:
    sandbox = Sandbox(latency=0.0)
    async with serving(sandbox) as provider:
        at_provider = settings.model_copy(update={"payment_url": str(provider._base_url)})
        yield Hub(at_provider, clock, sandbox, MemoryEventBus(clock=clock))


OUTCOMES: list[Any] = [
    pytest.param("tok_ok", "completed", None, 1, ["charged"], id="tok_ok"),
    pytest.param("tok_declined", "failed", "declined", 1, [], id="tok_declined"),
    pytest.param("tok_nobody", "failed", "declined", 1, [], id="unknown token"),
    pytest.param("tok_flaky", "completed", None, 3, ["charged"], id="tok_flaky"),
    pytest.param("tok_timeout", "failed", "payment_timeout", 3, [], id="tok_timeout"),
]


@pytest.mark.parametrize(("token", "status", "reason", "calls", "charges"), OUTCOMES)
async def test_every_token_comes_to_its_end_and_the_bus_hears_of_it(
    hub: Hub, token: str, status: str, reason: str | None, calls: int, charges: list[str]
) -> None:
    async with hub.open():
        order_id = await hub.place(token)

        order = await hub.until(order_id, "completed", "failed")

        assert (order["status"], order.get("reason"), order["version"]) == (status, reason, 3)
        assert (hub.sandbox.accounts[order_id].calls, hub.charges(order_id)) == (calls, charges)
        await eventually(lambda: len(hub.told(order_id)) == 4)
    assert hub.told(order_id) == ["order.created", "order.state.changed", "order.state.changed", f"order.{status}"]
    outcome = hub.heard[-1].data
    assert outcome.get("reason") == reason
    assert 0 <= outcome["processingTime"] < 60
    assert len({event.id for event in hub.heard}) == 4


async def test_processing_is_part_of_the_trace_it_was_placed_in(hub: Hub) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with hub.open() as client:
        client.headers["traceparent"] = traceparent
        order_id = await hub.place()
        await hub.until(order_id, "completed")
        await eventually(lambda: len(hub.heard) == 4)

    assert {(event.traceparent or "").split("-")[1] for event in hub.heard} == {"a" * 32}


async def test_a_silent_provider_that_charged_after_all_has_the_charge_taken_back(hub: Hub) -> None:
    hub.sandbox.latency = 0.6  # answers, and charges, when nobody listens any more
    async with hub.open(payment_attempts=1):
        order_id = await hub.place("tok_ok")
        order = await hub.until(order_id, "failed")
        await eventually(lambda: hub.sandbox.accounts[order_id].voided)

    assert order["reason"] == "payment_timeout"
    assert "charged" not in hub.charges(order_id)


async def test_a_provider_that_is_away_for_seconds_costs_no_order(hub: Hub, settings: Settings) -> None:
    port = free_port()
    async with hub.open(payment_url=f"http://127.0.0.1:{port}"):
        order_id = await hub.place()
        await hub.until(order_id, "processing")
        for _ in range(20):
            await hub.clock.advance(1.0)
        assert (await hub.order(order_id))["status"] == "processing"
    async with hub.open():  # the same database, and now the provider is there
        await hub.until(order_id, "completed")

    assert hub.charges(order_id) == ["charged"]


async def test_time_in_which_nobody_asked_the_provider_does_not_count_against_the_order(hub: Hub) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    async with hub.open(payment_url=away, payment_wait=20.0):
        order_id = await hub.place()
        await hub.until(order_id, "processing")
        for _ in range(8):
            await hub.clock.advance(1.0)
    await hub.clock.advance(3600)

    async with hub.open(payment_url=away, payment_wait=20.0):
        for _ in range(50):
            await hub.clock.advance(0.1)
            assert (await hub.order(order_id))["status"] == "processing"
        await hub.until(order_id, "failed")


async def test_a_provider_that_stays_away_fails_the_order_when_the_wait_is_over(hub: Hub) -> None:
    async with hub.open(payment_url=f"http://127.0.0.1:{free_port()}", payment_wait=3.0):
        order_id = await hub.place()
        order = await hub.until(order_id, "failed")
        await eventually(lambda: len(hub.told(order_id)) == 4)

    assert order["reason"] == "payment_unavailable"
    assert hub.heard[-1].data["processingTime"] >= 3.0


async def test_an_answer_with_5xx_is_a_provider_that_is_away(hub: Hub) -> None:
    hub.sandbox.failure_rate = 1.0
    async with hub.open():
        order_id = await hub.place("tok_random")
        await hub.until(order_id, "processing")
        await eventually(_after(hub, 10.0, lambda: hub.sandbox.accounts[order_id].calls > 3))
        hub.sandbox.failure_rate = 0.0

        await hub.until(order_id, "completed")

    assert hub.charges(order_id) == ["charged"]


def _after(hub: Hub, seconds: float, condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        await hub.clock.advance(seconds / 100)
        return condition()

    return ask


async def test_an_order_interrupted_in_the_middle_of_its_payment_is_resumed_and_charged_once(hub: Hub) -> None:
    hub.sandbox.latency = 1.0  # longer than the look below takes on any machine
    async with hub.open(drain=0.0):
        order_id = await hub.place()
        await eventually(lambda: order_id in hub.sandbox.accounts)
        assert (await hub.order(order_id))["status"] == "processing"
    hub.sandbox.latency = 0.0

    async with hub.open():
        await hub.until(order_id, "completed")

    assert hub.sandbox.accounts[order_id].calls == 2
    assert hub.charges(order_id) == ["charged"]
    assert sorted(hub.told(order_id)) == ["order.completed", "order.created", *["order.state.changed"] * 2]


async def test_an_order_under_way_is_finished_before_the_service_ends(hub: Hub) -> None:
    hub.sandbox.latency = 0.2
    async with hub.open(drain=5.0):
        order_id = await hub.place()
        await eventually(lambda: order_id in hub.sandbox.accounts)

    assert hub.charges(order_id) == ["charged"]
    async with hub.open():
        assert (await hub.order(order_id))["status"] == "completed"


async def test_many_orders_at_once_are_each_charged_once(hub: Hub) -> None:
    async with hub.open(concurrency=5):
        ids = [await hub.place("tok_random") for _ in range(40)]
        for order_id in ids:
            await hub.until(order_id, "completed")

    assert all(hub.charges(order_id) == ["charged"] for order_id in ids)


async def test_an_order_is_cancelled_at_once_while_the_provider_takes_its_time_and_the_charge_is_taken_back(
    hub: Hub,
) -> None:
    hub.sandbox.latency = 0.25
    async with hub.open() as client:
        order_id = await hub.place()
        await eventually(lambda: order_id in hub.sandbox.accounts)

        async with client.post(f"/orders/{order_id}/cancel") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "cancelled")
        assert hub.charges(order_id) == [], "the provider had answered before"
        await eventually(lambda: hub.sandbox.accounts[order_id].voided)
        assert (await hub.order(order_id))["version"] == 3
        await eventually(lambda: len(hub.told(order_id)) == 4)

    assert "charged" not in hub.charges(order_id)
    assert hub.told(order_id) == ["order.created", "order.state.changed", "order.state.changed", "order.cancelled"]
    assert hub.heard[-1].data["processingTime"] >= 0


async def test_a_cancellation_survives_a_restart_before_the_provider_has_confirmed_it(hub: Hub) -> None:
    hub.sandbox.latency = 1.0
    async with hub.open(drain=0.0) as client:
        order_id = await hub.place()
        await eventually(lambda: order_id in hub.sandbox.accounts)
        async with client.post(f"/orders/{order_id}/cancel") as answer:
            assert answer.status == 200
    assert not hub.sandbox.accounts[order_id].voided
    hub.sandbox.latency = 0.0

    async with hub.open():
        await eventually(lambda: hub.sandbox.accounts[order_id].voided)
        assert (await hub.order(order_id))["status"] == "cancelled"

    assert "charged" not in hub.charges(order_id)
