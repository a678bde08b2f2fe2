"""Placing, reading, and above all paying: what becomes of an order whatever the provider does."""

from datetime import timedelta
from typing import Any

import pytest

from cortex_core.testing import FakeClock
from cortex_order.domain import (
    CustomerId,
    EmptyOrder,
    FailureReason,
    Item,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    ProcessingStarted,
    Status,
)
from cortex_order.ports import PaymentDeclined, PaymentTimeout, PaymentUnavailable
from cortex_order.usecases import GetOrder, PlaceOrder, ProcessOrder

WAIT = timedelta(seconds=60)
BACKOFF = timedelta(seconds=7)
AWAY = PaymentUnavailable("away")
SILENT = PaymentTimeout("silent")


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def place(memory_orders: Any, clock: FakeClock, woken: list[bool]) -> PlaceOrder:
    return PlaceOrder(memory_orders, clock, lambda: woken.append(True))


@pytest.fixture
def process(memory_orders: Any, payments: Any, clock: FakeClock) -> ProcessOrder:
    return ProcessOrder(memory_orders, payments, memory_orders, clock, WAIT, lambda _: BACKOFF)


@pytest.fixture
async def placed(place: PlaceOrder) -> Order:
    return await place(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", PaymentToken("tok_ok"))


async def test_a_placed_order_is_stored_on_the_list_and_announced(
    placed: Order, memory_orders: Any, woken: list[bool]
) -> None:
    assert (await GetOrder(memory_orders)(placed.id)).status is Status.PENDING
    assert await memory_orders.dues(placed.id) is not None
    assert woken == [True]


async def test_an_order_that_makes_no_sense_leaves_nothing_behind(
    place: PlaceOrder, memory_orders: Any, woken: list[bool]
) -> None:
    with pytest.raises(EmptyOrder):
        await place(CustomerId("cus_1"), [], "EUR", PaymentToken("tok_ok"))

    assert (memory_orders.events, memory_orders.list, woken) == ({}, {}, [])


async def test_an_unknown_order_is_not_found(memory_orders: Any) -> None:
    with pytest.raises(OrderNotFound):
        await GetOrder(memory_orders)(OrderId("ord_" + "0" * 32))


async def test_a_payment_that_goes_through_completes_the_order(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.version) == (Status.COMPLETED, 3)
    assert payments.charges == [(placed.id, 2500, "tok_ok")]
    assert memory_orders.list == {}


async def test_processing_has_begun_before_money_moves(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [RuntimeError("crash")]

    with pytest.raises(RuntimeError):
        await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.PROCESSING


async def test_an_order_left_in_processing_is_taken_up_again(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    await memory_orders.save(placed, [ProcessingStarted(placed.id)])

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.version) == (Status.COMPLETED, 3)


async def test_a_crash_between_charge_and_completion_charges_once(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    await memory_orders.save(placed, [ProcessingStarted(placed.id)])
    await payments.charge(placed.id, placed.total, PaymentToken("tok_ok"))

    await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.COMPLETED
    assert len(payments.charges) == 1


async def test_a_finished_order_is_left_alone(process: ProcessOrder, placed: Order, payments: Any) -> None:
    await process(placed.id)
    await process(placed.id)

    assert payments.calls == 1


async def test_a_cancelled_order_is_not_charged(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, clock: FakeClock
) -> None:
    await memory_orders.save(placed, placed.decide_cancellation(clock.now()))

    await process(placed.id)

    assert payments.calls == 0


async def test_a_declined_payment_fails_the_order_for_good(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [PaymentDeclined("no")]

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.DECLINED)
    assert memory_orders.list == {}
    assert payments.voided == []


async def test_silence_fails_the_order_and_takes_back_what_may_have_been_charged(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [SILENT]

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.PAYMENT_TIMEOUT)
    assert payments.voided == [placed.id]
    assert memory_orders.list == {}


@pytest.mark.parametrize("trouble", [AWAY, SILENT])
async def test_a_failed_order_stays_on_the_list_until_the_provider_has_confirmed(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, trouble: Exception
) -> None:
    payments.errors, payments.void_errors = [SILENT], [trouble, trouble]

    await process(placed.id)
    await process(placed.id)
    assert (await memory_orders.load(placed.id)).status is Status.FAILED
    assert len(memory_orders.list) == 1

    await process(placed.id)
    assert payments.voided == [placed.id]
    assert memory_orders.list == {}
    assert payments.calls == 1


async def test_a_provider_that_is_away_is_waited_for(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, clock: FakeClock
) -> None:
    payments.errors = [AWAY, AWAY]

    await process(placed.id)
    first = memory_orders.postponed["public", placed.id]
    await clock.advance(30)
    await process(placed.id)
    assert (await memory_orders.load(placed.id)).status is Status.PROCESSING
    await clock.advance(29)
    await process(placed.id)

    assert first == placed.created_at + BACKOFF
    assert (await memory_orders.load(placed.id)).status is Status.COMPLETED


async def test_a_provider_that_stays_away_fails_the_order_when_the_wait_is_over(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, clock: FakeClock
) -> None:
    payments.errors = [AWAY, AWAY, AWAY]

    await process(placed.id)
    await clock.advance(59)
    await process(placed.id)
    last_try = memory_orders.postponed["public", placed.id]
    assert (await memory_orders.load(placed.id)).status is Status.PROCESSING
    await clock.advance(1)
    await process(placed.id)

    assert last_try == placed.created_at + WAIT
    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.PAYMENT_UNAVAILABLE)
    assert len(memory_orders.list) == 1


async def test_what_may_have_been_charged_before_the_provider_went_away_is_taken_back_when_it_returns(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, clock: FakeClock
) -> None:
    payments.errors = [AWAY, AWAY]
    await process(placed.id)
    await clock.advance(60)
    await process(placed.id)

    await process(placed.id)

    assert payments.voided == [placed.id]
    assert memory_orders.list == {}
