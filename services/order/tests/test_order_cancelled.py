"""Cancelling, whatever the provider is doing meanwhile: nobody pays for a cancelled order."""

from typing import Any

import pytest

from cortex_core.testing import FakeClock
from cortex_order.domain import (
    Cancel,
    IllegalTransition,
    Order,
    Status,
)
from cortex_order.ports import PaymentDeclined
from cortex_order.usecases import CancelOrder, ProcessOrder

from .patience import AWAY, SILENT


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
