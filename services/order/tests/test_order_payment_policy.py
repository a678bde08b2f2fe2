"""The policy around the provider: the real blocks, a provider in memory."""

import asyncio
from typing import Any

import pytest

from cortex_core.chassis import Resilience
from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.testing import FakeClock
from cortex_order.adapters.payments import GuardedPayments
from cortex_order.domain import new_order_id
from cortex_order.ports import PaymentDeclined, PaymentThrottled, PaymentTimeout, PaymentUnavailable, PaymentUnwanted
from cortex_order.settings import Settings
from cortex_order.wiring import guarded

from .payment_provider import CLOSED, OK, OPEN, SILENT, TOTAL, Provider, Wishes


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
