"""Acknowledged orders: the service is killed again and again while customers order; none is lost, none doubled."""

import asyncio

from chaos.experiment import Control, Experiment, Outcome
from chaos.orders.service import Customers, OrderService, all_final, charges_of, order_service, payment_provider
from chaos.orders.wire import Wire, read_wire
from chaos.surroundings import Process, Surroundings
from cortex_core.testing import eventually, free_port

ORDERS, KILLS = 10_000, 200


async def shipped(around: Surroundings) -> Outcome:
    return await _killed(around, around.count(ORDERS, 200), around.count(KILLS, 4), keyed=True)


async def without_keys(around: Surroundings) -> Outcome:
    """Customers who repeat a request without an Idempotency-Key: a kill between commit and answer orders twice."""
    return await _killed(around, around.count(ORDERS // 20, 200), around.count(KILLS // 20, 10), keyed=False)


async def in_memory(around: Surroundings) -> Outcome:
    """The plan's own way: the answer comes after an in-memory publish."""
    port = free_port()
    naive = OrderService(
        Process(("-m", "chaos.programs.naive_orders", str(port)), around.folder / "naive.log"),
        f"http://127.0.0.1:{port}",
    )
    customers = Customers(naive.url)
    orders, kills = around.count(ORDERS // 20, 50), around.count(KILLS // 20, 2)
    fired = await _order_and_kill(naive, customers, orders, kills)
    listed = await all_final(naive.url, 60.0)
    await naive.process.end()
    lost = set(customers.acknowledged) - set(listed)
    return Outcome(fired, len(lost), {"acknowledged": len(customers.acknowledged), "lost": len(lost)})


async def _killed(around: Surroundings, orders: int, kills: int, *, keyed: bool) -> Outcome:
    async with payment_provider(around) as provider:
        service = order_service(around, around.new_database(), provider)
        customers = Customers(service.url, keyed)
        fired = await _order_and_kill(service, customers, orders, kills)
        try:
            listed = await all_final(service.url, 180.0)
            charges = await charges_of(provider, sorted(listed))
            wire = await _told(around, set(listed))
        finally:
            await service.process.end()
    acknowledged = set(customers.acknowledged)
    lost = len(acknowledged - set(listed))
    doubled = len(listed) - len(acknowledged)  # an order nobody was told of: its customer's repeat made another
    uncompleted = sum(status != "completed" for status in listed.values())
    charged_wrong = sum(states != ["charged"] for states in charges.values())
    missing = wire.missing(listed)
    figures = {
        "orders": len(customers.acknowledged),
        "repeats": customers.repeats,
        "lost": lost,
        "doubled": doubled,
        "not charged once": charged_wrong,
        "not completed": uncompleted,
        "refused": len(customers.refused),
        "events missing": missing,
        "out of order": wire.disordered,
        "wire duplicates": wire.duplicates,
    }
    broken = lost + doubled + charged_wrong + uncompleted + len(customers.refused) + missing + wire.disordered
    return Outcome(fired, broken, figures)


async def _order_and_kill(service: OrderService, customers: Customers, orders: int, kills: int) -> int:
    """Kills at even distances in acknowledged orders; returns how many fired while orders were on their way."""
    await service.process.start()
    await service.ready()
    placing = asyncio.create_task(customers.place(orders))
    fired = 0
    try:
        for kill in range(1, kills + 1):
            due = orders * kill // (kills + 1)
            await eventually(lambda due=due: len(customers.acknowledged) >= due or placing.done(), within=300.0)
            if placing.done():
                break
            await service.process.kill()
            fired += 1
            await service.process.start()
            await service.ready()
        await placing
    finally:
        placing.cancel()
    return fired


async def _told(around: Surroundings, orders: set[str]) -> Wire:
    """The wire, once all is on it, or after a minute."""
    for _ in range(60):
        wire = read_wire(around.redis)
        if not wire.missing(orders):
            return wire
        await asyncio.sleep(1.0)
    return read_wire(around.redis)


EXPERIMENT = Experiment(
    "acknowledged orders",
    "none lost, none applied twice",
    shipped,
    [Control("no Idempotency-Key", without_keys), Control("acknowledged from memory, as in the plan", in_memory)],
)
