"""What the provider's troubles mean for orders: the real blocks and loop, a provider in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from cortex_core.chassis import Resilience
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_core.testing import FakeClock
from cortex_order.adapters.processing import Processing
from cortex_order.domain import CustomerId, Item, OrderId, PaymentToken, Status
from cortex_order.ports import PaymentThrottled, PaymentUnavailable
from cortex_order.settings import Settings
from cortex_order.usecases import CancelOrder, IsProcessing, PlaceOrder, ProcessOrder
from cortex_order.wiring import TROUBLE, guarded, patience

from .payment_provider import OK, SILENT, Provider


@dataclass
class Shop:
    """Orders placed, and the loop that works them off."""

    clock: FakeClock
    orders: Any
    commands: Any
    processing: Processing

    async def place(self, token: PaymentToken = OK) -> OrderId:
        place = PlaceOrder(self.commands, self.processing.wake)
        order = await place(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", token)
        return order.id

    async def ends(self, *ids: OrderId) -> list[str]:
        return [str(order.reason or order.status) for order in [await self.orders.load(each) for each in ids]]


@pytest.fixture
async def shop(
    memory_orders: Any,
    commands: Any,
    provider: Provider,
    options: Settings,
    clock: FakeClock,
    metrics: MetricsCollector,
) -> AsyncIterator[Shop]:
    blocks = Resilience(metrics, Logger.get("order"), clock)
    payments = guarded(provider, blocks, options, IsProcessing(memory_orders))
    processing = Processing(
        memory_orders,
        ProcessOrder(commands, memory_orders, payments, memory_orders, clock, patience(options)),
        limit=options.concurrency,
        claim=options.claim,
        backoff=TROUBLE,
        clock=clock,
        tracer=Tracer("order"),
        logger=Logger.get("order"),
        put_off=metrics.create_counter("cortex_hub_orders_put_off_total", "", ("code",)),
    )
    task = asyncio.create_task(processing.run())
    yield Shop(clock, memory_orders, commands, processing)
    assert not task.done()
    task.cancel()
    await processing.drain(0.0)


AWAY: list[Any] = [
    pytest.param(lambda provider: setattr(provider, "trouble", lambda: PaymentUnavailable("refused")), id="away"),
    pytest.param(
        lambda provider: setattr(provider, "trouble", lambda: PaymentThrottled("429", retry_after=3)), id="429"
    ),
]


@pytest.mark.parametrize("break_it", AWAY)
async def test_an_outage_of_half_a_minute_costs_no_order(shop: Shop, provider: Provider, break_it: Any) -> None:
    break_it(provider)
    ids = [await shop.place() for _ in range(100)]
    await shop.clock.advance(30.0)
    assert set(await shop.ends(*ids)) == {"processing"}
    provider.trouble = None

    await shop.clock.advance(20.0)

    assert set(await shop.ends(*ids)) == {"completed"}
    assert sorted(provider.charged) == sorted(ids)


async def test_a_provider_that_hangs_for_seconds_costs_no_order(shop: Shop, provider: Provider) -> None:
    provider.hangs = True
    ids = [await shop.place() for _ in range(100)]
    await shop.clock.advance(5.0)
    provider.hangs = False

    await shop.clock.advance(30.0)

    assert set(await shop.ends(*ids)) == {"completed"}


async def test_an_outage_that_outlasts_the_wait_fails_orders_as_unavailable_and_voids_them_when_it_is_over(
    shop: Shop, provider: Provider
) -> None:
    provider.trouble = lambda: PaymentUnavailable("refused")
    ids = [await shop.place() for _ in range(20)]
    await shop.clock.advance(59.0)
    assert set(await shop.ends(*ids)) == {"processing"}
    await shop.clock.advance(6.0)
    assert set(await shop.ends(*ids)) == {"payment_unavailable"}
    provider.trouble = None

    await shop.clock.advance(20.0)

    assert sorted(provider.voided) == sorted(ids)
    assert shop.orders.list == {}


async def test_one_customers_silent_payments_end_as_such_and_fail_nobody_elses_order(
    shop: Shop, provider: Provider
) -> None:
    silent: list[OrderId] = []
    good: list[OrderId] = []
    for _ in range(20):
        silent.append(await shop.place(SILENT))
        good += [await shop.place() for _ in range(3)]
        await shop.clock.advance(1.0)
    await shop.clock.advance(90.0)

    assert set(await shop.ends(*silent)) == {"payment_timeout"}
    assert set(await shop.ends(*good)) == {"completed"}
    assert all(provider.calls.count(f"charge {each}") <= 6 for each in silent)


async def test_silent_payments_end_as_such_though_each_others_silence_keeps_the_circuit_open(
    shop: Shop, provider: Provider
) -> None:
    ids = [await shop.place(SILENT) for _ in range(10)]

    await shop.clock.advance(75.0)  # the last try begins when the wait is over

    assert set(await shop.ends(*ids)) == {"payment_timeout"}


async def test_an_order_that_is_cancelled_during_an_outage_is_cancelled_at_once_and_voided_after_it(
    shop: Shop, provider: Provider
) -> None:
    provider.trouble = lambda: PaymentUnavailable("refused")
    order_id = await shop.place()
    await shop.clock.advance(10.0)

    order = await CancelOrder(shop.commands)(order_id)
    assert order.status is Status.CANCELLED
    await shop.clock.advance(10.0)
    assert provider.voided == []
    provider.trouble = None
    await shop.clock.advance(20.0)

    assert (provider.voided, provider.charged, shop.orders.list) == ([order_id], [], {})


async def test_orders_that_are_cancelled_while_others_are_paid_are_never_charged(
    shop: Shop, provider: Provider
) -> None:
    provider.latency = 1.0
    ids = [await shop.place() for _ in range(64)]
    await shop.clock.advance(0.5)
    assert len(provider.calls) == 32

    waiting = [each for each in ids if f"charge {each}" not in provider.calls]
    for each in waiting:
        await CancelOrder(shop.commands)(each)
    await shop.clock.advance(10.0)

    assert sorted(provider.charged) == sorted(set(ids) - set(waiting))
    assert sorted(provider.voided) == sorted(waiting)
    assert shop.orders.list == {}
