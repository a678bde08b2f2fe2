"""From the order placed to the order closed: the whole service on its real database, with the real sandbox provider."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.testing import FakeClock, eventually, free_port, serving
from cortex_order.sandbox import Sandbox
from cortex_order.settings import Settings

from .hub import Hub
from .pauses import longest_pause
from .provider_gate import Gate

SILENCE = 0.3  # seconds that a test waits for an answer that does not come
STANDSTILL = 0.05  # seconds without a turn of the loop, after which a call may have run out of time on its way


@pytest.fixture
async def hub(settings: Settings, clock: FakeClock) -> AsyncIterator[Hub]:
    gate = Gate()
    sandbox = Sandbox(latency=0.0, sleep=gate)
    async with serving(sandbox) as provider:
        at_provider = settings.model_copy(update={"payment_url": str(provider._base_url)})
        yield Hub(at_provider, clock, sandbox, gate, MemoryEventBus(clock=clock))
        gate.open()


OUTCOMES: list[Any] = [
    pytest.param("tok_ok", "completed", None, 1, ["charged"], id="tok_ok"),
    pytest.param("tok_declined", "failed", "declined", 1, [], id="tok_declined"),
    pytest.param("tok_nobody", "failed", "declined", 1, [], id="unknown token"),
    pytest.param("tok_flaky", "completed", None, 3, ["charged"], id="tok_flaky"),
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


async def test_a_provider_that_never_answers_is_asked_three_times_and_the_bus_hears_of_it(hub: Hub) -> None:
    async def calls() -> tuple[int, float]:
        """How many came to the provider, and for how long the loop stood still at most while they were on their way."""
        async with hub.open(payment_timeout=SILENCE), longest_pause() as pause:
            order_id = await hub.place("tok_timeout")

            order = await hub.until(order_id, "completed", "failed")

            assert (order["status"], order["reason"], order["version"]) == ("failed", "payment_timeout", 3)
            await eventually(lambda: len(hub.told(order_id)) == 4)
        assert hub.told(order_id) == ["order.created", "order.state.changed", "order.state.changed", "order.failed"]
        assert hub.charges(order_id) == []
        account = hub.sandbox.accounts.get(order_id)
        return 0 if account is None else account.calls, pause.longest

    made, pause = await calls()
    while made < 3 and pause > STANDSTILL:  # a call's time was over before it was there
        made, pause = await calls()
    assert made == 3


async def test_processing_is_part_of_the_trace_it_was_placed_in(hub: Hub) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with hub.open() as client:
        client.headers["traceparent"] = traceparent
        order_id = await hub.place()
        await hub.until(order_id, "completed")
        await eventually(lambda: len(hub.heard) == 4)

    assert {(event.traceparent or "").split("-")[1] for event in hub.heard} == {"a" * 32}


async def test_a_silent_provider_that_charged_after_all_has_the_charge_taken_back(hub: Hub) -> None:
    hub.gate.shut()
    async with hub.open(payment_attempts=1, payment_timeout=SILENCE):
        order_id = await hub.place("tok_ok")
        order = await hub.until(order_id, "failed")
        hub.gate.open()  # answers, and charges, when nobody listens any more
        await hub.until_asked(order_id)  # by the void, where the charge's time was over before it was there
        await hub.until_voided(order_id)

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
        await hub.until(order_id, "failed", step=0.5)


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
        await hub.until_asked(order_id)
        await eventually(hub.after(0.1, lambda: hub.sandbox.accounts[order_id].calls > 3), within=60.0)
        hub.sandbox.failure_rate = 0.0

        await hub.until(order_id, "completed")

    assert hub.charges(order_id) == ["charged"]


async def test_an_order_interrupted_in_the_middle_of_its_payment_is_resumed_and_charged_once(hub: Hub) -> None:
    hub.gate.shut()
    async with hub.open(drain=0.0):
        order_id = await hub.place()
        await hub.until_asked(order_id)
        assert (await hub.order(order_id))["status"] == "processing"
    hub.gate.open()

    async with hub.open():
        await hub.until(order_id, "completed")

    assert hub.sandbox.accounts[order_id].calls == 2
    assert hub.charges(order_id) == ["charged"]
    assert sorted(hub.told(order_id)) == ["order.completed", "order.created", *["order.state.changed"] * 2]


async def test_an_order_under_way_is_finished_before_the_service_ends(hub: Hub) -> None:
    hub.gate.shut()
    async with hub.open(drain=20.0):
        order_id = await hub.place()
        await hub.until_asked(order_id)
        asyncio.get_running_loop().call_later(0.2, hub.gate.open)  # when the end has begun

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
    hub.gate.shut()
    async with hub.open() as client:
        order_id = await hub.place()
        await hub.until_asked(order_id)

        async with client.post(f"/orders/{order_id}/cancel") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "cancelled")
        assert hub.charges(order_id) == [], "the provider had answered before"
        hub.gate.open()
        await hub.until_voided(order_id)
        assert (await hub.order(order_id))["version"] == 3
        await eventually(lambda: len(hub.told(order_id)) == 4)

    assert "charged" not in hub.charges(order_id)
    assert hub.told(order_id) == ["order.created", "order.state.changed", "order.state.changed", "order.cancelled"]
    assert hub.heard[-1].data["processingTime"] >= 0


async def test_a_cancellation_survives_a_restart_before_the_provider_has_confirmed_it(hub: Hub) -> None:
    hub.gate.shut()
    async with hub.open(drain=0.0) as client:
        order_id = await hub.place()
        await hub.until_asked(order_id)
        async with client.post(f"/orders/{order_id}/cancel") as answer:
            assert answer.status == 200
    assert not hub.sandbox.accounts[order_id].voided
    hub.gate.open()

    async with hub.open():
        await hub.until_voided(order_id)
        assert (await hub.order(order_id))["status"] == "cancelled"

    assert "charged" not in hub.charges(order_id)
