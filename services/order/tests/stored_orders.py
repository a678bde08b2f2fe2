"""Orders as they stand in a store, by the steps that bring them there."""

from cortex_core.testing import FakeClock
from cortex_order.domain import CustomerId, Item, Order, PaymentToken
from cortex_order.ports import Once, Orders

TOKEN = PaymentToken("tok_canary")


async def placed(orders: Orders, clock: FakeClock, once: Once | None = None) -> Order:
    events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", clock.now())
    order = Order.of(events)
    await orders.add(order, events, TOKEN, once)
    return order


async def processing(orders: Orders, clock: FakeClock) -> Order:
    order = await placed(orders, clock)
    await orders.save(order, order.decide_processing())
    return order
