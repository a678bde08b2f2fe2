"""Placing, reading, cancelling, and above all paying: what becomes of an order whatever the provider does."""

from datetime import timedelta
from typing import Any

import pytest

from cortex_core.testing import FakeClock
from cortex_order.domain import (
    Cancel,
    Complete,
    CustomerId,
    EmptyOrder,
    FailureReason,
    IllegalTransition,
    Item,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    Process,
    Status,
)
from cortex_order.ports import PaymentDeclined, PaymentTimeout, PaymentUnavailable
from cortex_order.usecases import CancelOrder, GetOrder, Patience, PlaceOrder, ProcessOrder
from cortex_order.usecases.processing import LONGEST_PAUSE

WAIT = timedelta(seconds=60)
BACKOFF = timedelta(seconds=7)
DEFERENCE = timedelta(seconds=2)
AWAY = PaymentUnavailable("away")
SILENT = PaymentTimeout("silent", silent=3)


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def place(commands: Any, woken: list[bool]) -> PlaceOrder:
    return PlaceOrder(commands, lambda: woken.append(True))


@pytest.fixture
def process(commands: Any, memory_orders: Any, payments: Any, clock: FakeClock) -> ProcessOrder:
    patience = Patience(WAIT, 3, DEFERENCE, lambda _: BACKOFF)
    return ProcessOrder(commands, memory_orders, payments, memory_orders, clock, patience)


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
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any
) -> None:
    await commands.execute(placed.id, Process())

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.version) == (Status.COMPLETED, 3)


async def test_a_crash_between_charge_and_completion_charges_once(
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any, payments: Any
) -> None:
    await commands.execute(placed.id, Process())
    await payments.charge(placed.id, placed.total, PaymentToken("tok_ok"))

    await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.COMPLETED
    assert len(payments.charges) == 1


async def test_a_finished_order_is_left_alone(process: ProcessOrder, placed: Order, payments: Any) -> None:
    await process(placed.id)
    await process(placed.id)

    assert payments.calls == 1


async def test_a_declined_payment_fails_the_order_for_good(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [PaymentDeclined("no")]

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.DECLINED)
    assert memory_orders.list == {}
    assert payments.voided == []


async def test_a_receipt_for_an_order_that_another_charge_has_paid_is_not_swallowed(
    process: ProcessOrder, placed: Order, commands: Any, payments: Any
) -> None:
    payments.meanwhile = lambda: commands.execute(placed.id, Complete("ch_other"))

    with pytest.raises(IllegalTransition):
        await process(placed.id)


# --- silence -----------------------------------------------------------------------------------------------------


async def test_silence_fails_the_order_and_takes_back_what_may_have_been_charged(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [SILENT]

    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.PAYMENT_TIMEOUT)
    assert payments.voided == [placed.id]
    assert memory_orders.list == {}


async def test_silences_add_up_over_interruptions_by_a_circuit_that_others_have_opened(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [PaymentUnavailable("open", silent=2), PaymentUnavailable("open"), PaymentTimeout("silent")]

    await process(placed.id)
    await process(placed.id)
    assert (await memory_orders.load(placed.id)).status is Status.PROCESSING
    await process(placed.id)

    order = await memory_orders.load(placed.id)
    assert (order.status, order.reason) == (Status.FAILED, FailureReason.PAYMENT_TIMEOUT)


async def test_who_was_met_with_silence_lets_others_try_the_provider_first(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors = [PaymentTimeout("silent"), AWAY]

    await process(placed.id)
    assert memory_orders.postponed["public", placed.id] == placed.created_at + BACKOFF + DEFERENCE
    await process(placed.id)

    assert memory_orders.postponed["public", placed.id] == placed.created_at + BACKOFF + DEFERENCE


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


# --- waiting -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("asked", "pause"), [(20.0, timedelta(seconds=20)), (1.0, BACKOFF), (1e300, timedelta(seconds=60))]
)
async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any, asked: float, pause: timedelta
) -> None:
    payments.errors = [PaymentUnavailable("busy", retry_after=asked)]

    await process(placed.id)

    assert memory_orders.postponed["public", placed.id] == placed.created_at + pause


async def test_no_provider_is_left_alone_for_longer_than_an_hour(
    process: ProcessOrder, placed: Order, memory_orders: Any, payments: Any
) -> None:
    payments.errors, payments.void_errors = [SILENT], [PaymentUnavailable("busy", retry_after=1e300)]

    await process(placed.id)

    until = placed.created_at + timedelta(seconds=LONGEST_PAUSE)
    assert memory_orders.postponed["public", placed.id] == until


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


# --- cancelling --------------------------------------------------------------------------------------------------


async def test_an_order_cancelled_before_it_is_taken_up_is_neither_charged_nor_voided(
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any, payments: Any
) -> None:
    order = await CancelOrder(commands)(placed.id)

    await process(placed.id)

    assert (order.status, order.version) == (Status.CANCELLED, 2)
    assert (payments.calls, payments.voided, memory_orders.list) == (0, [], {})


async def test_an_order_cancelled_while_it_waits_for_the_provider_is_voided_when_that_is_back(
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any, payments: Any
) -> None:
    payments.errors, payments.void_errors = [AWAY], [AWAY]
    await process(placed.id)

    await CancelOrder(commands)(placed.id)
    await process(placed.id)
    assert len(memory_orders.list) == 1
    await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.CANCELLED
    assert (payments.calls, payments.voided, memory_orders.list) == (1, [placed.id], {})


CUT_SHORT: list[tuple[str, list[Exception]]] = [
    ("a receipt", []),
    ("a refusal", [PaymentDeclined("no")]),
    ("silence", [SILENT]),
]


@pytest.mark.parametrize(("_answer", "errors"), CUT_SHORT)
async def test_an_order_cancelled_while_the_provider_is_asked_is_voided_whatever_the_provider_says(
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any, payments: Any, _answer: str, errors: Any
) -> None:
    payments.errors = list(errors)
    payments.meanwhile = lambda: CancelOrder(commands)(placed.id)

    await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.CANCELLED
    assert (payments.voided, memory_orders.list) == ([placed.id], {})


async def test_an_order_cancelled_in_the_last_moment_of_its_wait_stays_cancelled(
    process: ProcessOrder, placed: Order, commands: Any, memory_orders: Any, payments: Any, clock: FakeClock
) -> None:
    payments.errors = [AWAY, AWAY]
    await process(placed.id)
    await clock.advance(60)
    payments.meanwhile = lambda: CancelOrder(commands)(placed.id)

    await process(placed.id)

    assert (await memory_orders.load(placed.id)).status is Status.CANCELLED
    assert len(memory_orders.list) == 1


async def test_cancelling_twice_is_one_fact(placed: Order, commands: Any) -> None:
    first = await CancelOrder(commands)(placed.id)
    second = await CancelOrder(commands)(placed.id)

    assert first == second


async def test_a_completed_order_cannot_be_cancelled(process: ProcessOrder, placed: Order, commands: Any) -> None:
    await process(placed.id)

    with pytest.raises(IllegalTransition):
        await commands.execute(placed.id, Cancel())
