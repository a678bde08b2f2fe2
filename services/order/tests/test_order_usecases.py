"""Placing, reading, cancelling, and above all paying: what becomes of an order whatever the provider does."""

from typing import Any

import pytest

from cortex_order.domain import (
    Complete,
    CustomerId,
    EmptyOrder,
    FailureReason,
    IllegalTransition,
    Order,
    OrderId,
    OrderNotFound,
    PaymentToken,
    Process,
    Status,
)
from cortex_order.ports import PaymentDeclined, PaymentTimeout, PaymentUnavailable
from cortex_order.usecases import GetOrder, PlaceOrder, ProcessOrder

from .patience import AWAY, BACKOFF, DEFERENCE, SILENT


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
