"""The policy around the provider, and what it means for orders: the real blocks and loop, a provider in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.chassis import Resilience
from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_core.testing import FakeClock
from cortex_order.adapters.payments import GuardedPayments
from cortex_order.adapters.processing import Processing
from cortex_order.domain import Currency, CustomerId, Item, Money, OrderId, PaymentToken, Status, new_order_id
from cortex_order.ports import PaymentDeclined, PaymentThrottled, PaymentTimeout, PaymentUnavailable, PaymentUnwanted
from cortex_order.settings import Settings
from cortex_order.usecases import CancelOrder, IsProcessing, PlaceOrder, ProcessOrder
from cortex_order.wiring import TROUBLE, guarded, patience

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


@pytest.fixture
def provider(clock: FakeClock) -> Provider:
    return Provider(clock)


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def options() -> Settings:
    return Settings(env="test")


@dataclass
class Wishes:
    """`Wanted`, as a test says; what `troubles` holds is raised first."""

    unwanted: set[str] = field(default_factory=set)
    troubles: list[Exception] = field(default_factory=list)

    async def __call__(self, order_id: OrderId) -> bool:
        if self.troubles:
            raise self.troubles.pop(0)
        return order_id not in self.unwanted


@pytest.fixture
def wishes() -> Wishes:
    return Wishes()


@pytest.fixture
def payments(
    provider: Provider, options: Settings, clock: FakeClock, metrics: MetricsCollector, wishes: Wishes
) -> GuardedPayments:
    return guarded(provider, Resilience(metrics, Logger.get("order"), clock), options, wishes)


async def run(clock: FakeClock, seconds: float, call: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(call)
    await clock.advance(seconds)
    return task


# --- the policy --------------------------------------------------------------------------------------------------


async def test_a_provider_that_stumbles_twice_is_asked_three_times(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    provider.script = [PaymentUnavailable("503"), PaymentUnavailable("503")]

    task = await run(clock, 4.0, payments.charge(new_order_id(), TOTAL, OK))

    assert (await task).startswith("ch_")
    assert len(provider.calls) == 3


async def test_silence_three_times_is_the_end_and_is_counted(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    task = await run(clock, 60.0, payments.charge(new_order_id(), TOTAL, SILENT))

    with pytest.raises(PaymentTimeout) as caught:
        await task
    assert (caught.value.silent, len(provider.calls)) == (3, 3)


async def test_a_refusal_is_an_answer_and_is_not_asked_for_again(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    for _ in range(5):
        provider.script = [PaymentDeclined("no")]
        task = await run(clock, 1.0, payments.charge(new_order_id(), TOTAL, OK))
        with pytest.raises(PaymentDeclined):
            await task

    assert len(provider.calls) == 5


async def test_three_failures_open_the_circuit_for_five_seconds(
    payments: GuardedPayments, provider: Provider, clock: FakeClock, metrics: MetricsCollector
) -> None:
    provider.trouble = lambda: PaymentUnavailable("503")
    await run(clock, 4.0, payments.charge(new_order_id(), TOTAL, OK))
    assert metrics.value("cortex_circuit_breaker_changes_total", name="payments", state="open", cause="failures") == 1
    provider.trouble = None
    asked = len(provider.calls)

    task = await run(clock, 0.0, payments.charge(new_order_id(), TOTAL, OK))
    with pytest.raises(PaymentUnavailable) as caught:
        await task

    assert caught.value.retry_after is not None
    assert (caught.value.silent, len(provider.calls)) == (0, asked)
    await clock.advance(caught.value.retry_after)
    assert await (await run(clock, 1.0, payments.charge(new_order_id(), TOTAL, OK)))


async def test_a_circuit_that_opens_between_two_silent_calls_does_not_forget_the_first(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    task = await run(clock, 1.9, payments.charge(new_order_id(), TOTAL, SILENT))
    provider.trouble = lambda: PaymentUnavailable("503")
    for _ in range(3):
        await run(clock, 0.0, payments.void(new_order_id()))
    await clock.advance(60.0)

    with pytest.raises(PaymentUnavailable) as caught:
        await task
    assert caught.value.silent == 1


async def test_too_many_calls_are_asked_again_when_the_provider_says_and_open_no_circuit(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    provider.script = [PaymentThrottled("429", retry_after=2.0) for _ in range(4)]
    task = await run(clock, 1.9, payments.charge(new_order_id(), TOTAL, OK))
    assert len(provider.calls) == 1
    await clock.advance(30.0)
    with pytest.raises(PaymentThrottled):
        await task

    task = await run(clock, 30.0, payments.charge(new_order_id(), TOTAL, OK))

    assert (await task, len(provider.calls)) == (task.result(), 5)


async def test_a_pause_that_is_long_is_not_sat_out_in_one_go(
    payments: GuardedPayments, provider: Provider, clock: FakeClock
) -> None:
    provider.script = [PaymentThrottled("429", retry_after=40.0)]

    task = await run(clock, 0.2, payments.charge(new_order_id(), TOTAL, OK))

    with pytest.raises(PaymentThrottled) as caught:
        await task
    assert caught.value.retry_after == 40.0


async def test_no_more_calls_at_a_time_than_the_bulkhead_has_places(
    provider: Provider, clock: FakeClock, options: Settings, wishes: Wishes
) -> None:
    settings = options.model_copy(update={"payment_calls": 4})
    payments = guarded(provider, Resilience(clock=clock), settings, wishes)
    tasks = [asyncio.create_task(payments.charge(new_order_id(), TOTAL, OK)) for _ in range(40)]

    await clock.advance(2.0)

    assert len(await asyncio.gather(*tasks)) == 40
    assert provider.most_at_once == 4


async def test_an_order_that_ends_while_it_waits_for_a_place_is_not_charged(
    provider: Provider, clock: FakeClock, options: Settings, wishes: Wishes
) -> None:
    payments = guarded(provider, Resilience(clock=clock), options.model_copy(update={"payment_calls": 1}), wishes)
    under_way, waiting = new_order_id(), new_order_id()
    first = await run(clock, 0.0, payments.charge(under_way, TOTAL, OK))
    second = await run(clock, 0.0, payments.charge(waiting, TOTAL, OK))

    wishes.unwanted |= {under_way, waiting}
    await clock.advance(1.0)

    assert await first == f"ch_{under_way}"
    with pytest.raises(PaymentUnwanted):
        await second
    assert provider.calls == [f"charge {under_way}"]


async def test_an_order_that_ends_between_two_attempts_is_not_asked_for_again(
    payments: GuardedPayments, provider: Provider, clock: FakeClock, wishes: Wishes
) -> None:
    provider.script, order_id = [PaymentUnavailable("503")], new_order_id()
    task = await run(clock, 0.1, payments.charge(order_id, TOTAL, OK))
    assert len(provider.calls) == 1

    wishes.unwanted.add(order_id)
    await clock.advance(5.0)

    with pytest.raises(PaymentUnwanted):
        await task
    assert len(provider.calls) == 1


async def test_what_has_ended_is_voided_all_the_same(
    payments: GuardedPayments, provider: Provider, clock: FakeClock, wishes: Wishes
) -> None:
    order_id = new_order_id()
    wishes.unwanted.add(order_id)

    await (await run(clock, 1.0, payments.void(order_id)))

    assert provider.voided == [order_id]


async def test_an_order_that_has_ended_is_no_probe_of_the_provider(
    payments: GuardedPayments, provider: Provider, clock: FakeClock, wishes: Wishes, metrics: MetricsCollector
) -> None:
    provider.trouble, ended = lambda: PaymentUnavailable("503"), new_order_id()
    await run(clock, 4.0, payments.void(new_order_id()))
    assert metrics.value("cortex_circuit_breaker_state", name="payments") == OPEN
    await clock.advance(5.0)

    wishes.unwanted.add(ended)
    with pytest.raises(PaymentUnwanted):
        await (await run(clock, 0.0, payments.charge(ended, TOTAL, OK)))

    assert metrics.value("cortex_circuit_breaker_state", name="payments") != CLOSED


async def test_a_database_in_trouble_opens_no_circuit_to_the_provider(
    payments: GuardedPayments, provider: Provider, clock: FakeClock, wishes: Wishes
) -> None:
    wishes.troubles = [EventStoreUnavailable("locked") for _ in range(9)]
    for _ in range(3):
        with pytest.raises(EventStoreUnavailable):
            await (await run(clock, 10.0, payments.charge(new_order_id(), TOTAL, OK)))

    task = await run(clock, 1.0, payments.charge(new_order_id(), TOTAL, OK))

    assert (await task, len(provider.calls)) == (task.result(), 1)


# --- and what becomes of orders ----------------------------------------------------------------------------------


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
