"""Carrying out commands: what is remembered may be behind, and what is durable decides."""

from collections.abc import Sequence
from typing import Any

import pytest

from cortex_core.eventsourcing import StaleVersion
from cortex_core.testing import FakeClock
from cortex_order.domain import (
    Cancel,
    Complete,
    Create,
    CustomerId,
    IllegalTransition,
    Item,
    Order,
    OrderEvent,
    OrderNotFound,
    PaymentToken,
    Process,
    StaleOrder,
    Status,
    new_order_id,
)
from cortex_order.usecases import CarryOut
from cortex_order.usecases.carrying import ROUNDS

CREATE = Create(CustomerId("cus_1"), (Item("book", 2, 1250),), "EUR", PaymentToken("tok_ok"))


class Overtaken:
    """`Orders` whose next `times` saves find that somebody was faster."""

    def __init__(self, orders: Any, times: int) -> None:
        self._orders = orders
        self.times = times
        self.loads = 0

    async def load(self, order_id: Any) -> Order:
        self.loads += 1
        loaded: Order = await self._orders.load(order_id)
        return loaded

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        if self.times:
            self.times -= 1
            raise StaleVersion(order.id, order.version, order.version + 1)
        await self._orders.save(order, events)


@pytest.fixture
def carry_out(memory_orders: Any, clock: FakeClock) -> CarryOut:
    return CarryOut(memory_orders, clock)


@pytest.fixture
async def known(carry_out: CarryOut) -> Order:
    return await carry_out.create(new_order_id(), CREATE)


async def test_an_order_is_created_under_the_id_it_was_asked_for(carry_out: CarryOut, memory_orders: Any) -> None:
    order_id = new_order_id()

    order = await carry_out.create(order_id, CREATE)

    assert (order.id, order.status, order.version) == (order_id, Status.PENDING, 1)
    assert await memory_orders.load(order_id) == order


async def test_an_order_that_is_there_is_not_created_again(carry_out: CarryOut, known: Order) -> None:
    with pytest.raises(StaleVersion):
        await carry_out.create(known.id, CREATE)


async def test_a_command_to_an_order_that_is_not_there_is_refused(carry_out: CarryOut) -> None:
    with pytest.raises(OrderNotFound):
        await carry_out(None, new_order_id(), Process())


async def test_what_is_remembered_is_not_read_again(known: Order, memory_orders: Any, clock: FakeClock) -> None:
    orders: Any = Overtaken(memory_orders, 0)

    order = await CarryOut(orders, clock)(known, known.id, Process())

    assert (order.status, orders.loads) == (Status.PROCESSING, 0)


async def test_who_is_overtaken_looks_again_and_decides_again(
    carry_out: CarryOut, known: Order, memory_orders: Any
) -> None:
    await carry_out(None, known.id, Process())  # by another replica: `known` is behind

    order = await carry_out(known, known.id, Cancel())

    assert (order.status, order.version) == (Status.CANCELLED, 3)
    assert not order.is_settled
    assert await memory_orders.load(known.id) == order


async def test_a_fact_that_memory_knows_is_confirmed_by_the_store(carry_out: CarryOut, known: Order) -> None:
    processing = await carry_out(known, known.id, Process())
    await carry_out(None, known.id, Cancel())  # by another replica

    with pytest.raises(IllegalTransition):
        await carry_out(processing, known.id, Process())


async def test_memory_alone_refuses_nothing(carry_out: CarryOut, known: Order) -> None:
    await carry_out(None, known.id, Process())  # by another replica

    order = await carry_out(known, known.id, Complete("ch_1"))

    assert order.status is Status.COMPLETED


async def test_a_version_that_memory_does_not_know_yet_is_looked_up(carry_out: CarryOut, known: Order) -> None:
    await carry_out(None, known.id, Process())  # by another replica

    order = await carry_out(known, known.id, Cancel(if_version=2))

    assert order.status is Status.CANCELLED


async def test_a_version_that_the_order_is_not_at_is_refused(carry_out: CarryOut, known: Order) -> None:
    for version in (0, 2):
        with pytest.raises(StaleOrder):
            await carry_out(known, known.id, Cancel(if_version=version))


async def test_the_same_fact_twice_is_stored_once(carry_out: CarryOut, known: Order, memory_orders: Any) -> None:
    first = await carry_out(None, known.id, Process())
    again = await carry_out(first, known.id, Process())

    assert again.version == 2
    assert (await memory_orders.load(known.id)).version == 2


async def test_who_is_overtaken_a_few_times_gets_there(known: Order, memory_orders: Any, clock: FakeClock) -> None:
    orders: Any = Overtaken(memory_orders, ROUNDS - 1)

    order = await CarryOut(orders, clock)(None, known.id, Process())

    assert order.status is Status.PROCESSING


async def test_who_is_overtaken_for_ever_gives_up(known: Order, memory_orders: Any, clock: FakeClock) -> None:
    orders: Any = Overtaken(memory_orders, 1000)

    with pytest.raises(StaleVersion):
        await CarryOut(orders, clock)(None, known.id, Process())

    assert orders.loads == ROUNDS
