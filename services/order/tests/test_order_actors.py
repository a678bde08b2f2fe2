"""Orders as virtual actors: one command at a time, in memory while there is something to do, read again in trouble."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from cortex_core.actors import ActorSystem, TooManyActive
from cortex_core.eventsourcing import EventStoreUnavailable, StaleVersion
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.actors import ActorOrders
from cortex_order.domain import (
    Cancel,
    Complete,
    Create,
    CustomerId,
    IllegalTransition,
    Item,
    Order,
    OrderEvent,
    OrderId,
    OrderNotFound,
    PaymentToken,
    Process,
    Status,
    new_order_id,
)
from cortex_order.usecases import CarryOut

CREATE = Create(CustomerId("cus_1"), (Item("book", 2, 1250),), "EUR", PaymentToken("tok_ok"))
IDLE = 30.0
MAX_ACTIVE = 3


class WatchedOrders:
    """`Orders` that count what is read, and fail or wait where a test says so."""

    def __init__(self, orders: Any) -> None:
        self._orders = orders
        self.loads = 0
        self.trouble: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.saving = 0
        self.most_saving = 0

    async def add(self, *args: Any) -> None:
        await self._orders.add(*args)

    async def load(self, order_id: OrderId) -> Order:
        self.loads += 1
        order: Order = await self._orders.load(order_id)
        return order

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        self.saving += 1
        self.most_saving = max(self.most_saving, self.saving)
        try:
            await self.gate.wait()
            if self.trouble:
                raise self.trouble.pop(0)
            await self._orders.save(order, events)
        finally:
            self.saving -= 1


@pytest.fixture
def orders(memory_orders: Any) -> Any:
    return WatchedOrders(memory_orders)


@pytest.fixture
async def system(clock: FakeClock) -> AsyncIterator[ActorSystem]:
    system = ActorSystem("order", clock=clock)
    yield system
    await system.drain(0.0)


@pytest.fixture
def actors(system: ActorSystem, orders: Any, clock: FakeClock) -> ActorOrders:
    return ActorOrders(system, CarryOut(orders, clock), idle=IDLE, max_active=MAX_ACTIVE)


@pytest.fixture
async def placed(actors: ActorOrders) -> Order:
    return await actors.create(new_order_id(), CREATE)


async def test_an_order_goes_its_way_in_memory_and_is_read_not_once(
    actors: ActorOrders, placed: Order, orders: Any
) -> None:
    await actors.execute(placed.id, Process())
    order = await actors.execute(placed.id, Complete("ch_1"))

    assert (order.status, order.version, orders.loads) == (Status.COMPLETED, 3, 0)


async def test_a_settled_order_leaves_memory(actors: ActorOrders, placed: Order, system: ActorSystem) -> None:
    await actors.execute(placed.id, Process())
    assert system.size == 1

    await actors.execute(placed.id, Complete("ch_1"))
    await asyncio.sleep(0)

    assert system.size == 0


async def test_an_idle_order_leaves_memory_and_is_back_with_the_next_command(
    actors: ActorOrders, placed: Order, system: ActorSystem, orders: Any, clock: FakeClock
) -> None:
    await clock.advance(IDLE + 1)
    assert system.size == 0

    order = await actors.execute(placed.id, Process())

    assert (order.status, order.version, orders.loads) == (Status.PROCESSING, 2, 1)


async def test_commands_to_one_order_are_carried_out_one_at_a_time(
    actors: ActorOrders, placed: Order, orders: Any
) -> None:
    await actors.execute(placed.id, Process())
    orders.gate.clear()
    asked = [
        asyncio.create_task(actors.execute(placed.id, command)) for command in (Complete("ch_1"), Cancel(), Cancel())
    ]
    await asyncio.sleep(0)
    orders.gate.set()

    first, *others = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(first, Order)
    assert first.status is Status.COMPLETED
    assert [type(each) for each in others] == [IllegalTransition] * 2
    assert orders.most_saving == 1


async def test_two_orders_do_not_wait_for_each_other(actors: ActorOrders, placed: Order, orders: Any) -> None:
    other = await actors.create(new_order_id(), CREATE)
    orders.gate.clear()

    both = [asyncio.create_task(actors.execute(each.id, Process())) for each in (placed, other)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert orders.saving == 2
    orders.gate.set()

    assert {order.status for order in await asyncio.gather(*both)} == {Status.PROCESSING}


async def test_the_order_that_was_answered_is_the_askers_own(actors: ActorOrders, placed: Order) -> None:
    await actors.execute(placed.id, Process())

    assert (placed.status, placed.version) == (Status.PENDING, 1)


async def test_a_refusal_is_an_answer_and_leaves_nobody_in_memory(actors: ActorOrders, system: ActorSystem) -> None:
    with pytest.raises(OrderNotFound):
        await actors.execute(new_order_id(), Process())
    await asyncio.sleep(0)

    assert system.size == 0


async def test_after_trouble_with_the_store_the_order_is_read_again(
    actors: ActorOrders, placed: Order, orders: Any
) -> None:
    orders.trouble = [EventStoreUnavailable("full")]
    with pytest.raises(EventStoreUnavailable):
        await actors.execute(placed.id, Process())

    order = await actors.execute(placed.id, Process())

    assert (order.status, orders.loads) == (Status.PROCESSING, 1)


async def test_after_a_bug_the_asker_is_told_and_the_next_command_finds_a_fresh_actor(
    actors: ActorOrders, placed: Order, orders: Any
) -> None:
    for _ in range(6):  # more often than supervision restarts
        orders.trouble = [RuntimeError("bug")]
        with pytest.raises(RuntimeError):
            await actors.execute(placed.id, Process())

    order = await actors.execute(placed.id, Process())

    assert order.status is Status.PROCESSING


async def test_more_orders_than_may_be_in_memory_take_turns_in_it(
    actors: ActorOrders, system: ActorSystem, orders: Any
) -> None:
    ids = [(await actors.create(new_order_id(), CREATE)).id for _ in range(4 * MAX_ACTIVE)]

    for order_id in ids:
        assert (await actors.execute(order_id, Process())).status is Status.PROCESSING
        assert system.size <= MAX_ACTIVE + 1  # one that is leaving

    assert orders.loads > 0


async def test_where_all_in_memory_are_busy_the_next_order_is_refused_and_taken_up_when_one_is_done(
    actors: ActorOrders, orders: Any
) -> None:
    ids = [(await actors.create(new_order_id(), CREATE)).id for _ in range(MAX_ACTIVE)]
    orders.gate.clear()
    busy = [asyncio.create_task(actors.execute(order_id, Process())) for order_id in ids]
    await eventually(lambda: orders.saving == MAX_ACTIVE)

    with pytest.raises(TooManyActive):
        await actors.create(new_order_id(), CREATE)
    orders.gate.set()
    await asyncio.gather(*busy)

    assert (await actors.create(new_order_id(), CREATE)).status is Status.PENDING


async def test_a_tenants_order_is_not_to_be_commanded_by_another(actors: ActorOrders, placed: Order) -> None:
    await actors.execute(placed.id, Process())

    with use_context(tenant="acme"), pytest.raises(OrderNotFound):
        await actors.execute(placed.id, Cancel())


async def test_an_order_is_created_once(actors: ActorOrders, placed: Order) -> None:
    with pytest.raises(StaleVersion):
        await actors.create(placed.id, CREATE)


async def test_who_drains_lets_the_command_at_hand_become_durable(
    actors: ActorOrders, placed: Order, system: ActorSystem, orders: Any, memory_orders: Any
) -> None:
    orders.gate.clear()
    asked = asyncio.create_task(actors.execute(placed.id, Process()))
    await asyncio.sleep(0)
    draining = asyncio.create_task(system.drain(5.0))
    await asyncio.sleep(0)
    orders.gate.set()

    drained = await draining

    assert (drained.left, drained.interrupted) == (0, 0)
    assert (await asked).status is Status.PROCESSING
    assert (await memory_orders.load(placed.id)).version == 2
