"""What becomes of an order whose provider is away: it is waited for, until the wait is over."""

from datetime import timedelta
from typing import Any

import pytest

from cortex_core.testing import FakeClock
from cortex_order.domain import (
    FailureReason,
    Order,
    Status,
)
from cortex_order.ports import PaymentUnavailable
from cortex_order.usecases import ProcessOrder
from cortex_order.usecases.processing import LONGEST_PAUSE

from .patience import AWAY, BACKOFF, SILENT, WAIT


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
