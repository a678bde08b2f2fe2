"""Bus outage: Redis stops, is wiped, comes back empty. Orders go on; within 30 s nothing is missing on the bus."""

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chaos.experiment import Control, Experiment, Outcome
from chaos.orders.service import Customers, all_final, order_service, payment_provider
from chaos.orders.wire import read_wire
from chaos.surroundings import Surroundings, started
from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.eventsourcing import RELAY, Leadership, Message, NewEvent, Relay
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.testing import RedisServer, eventually

AWAY, BOUND = 3.0, 30.0  # seconds
ORDERS = 600  # of which some before, some during, some after each outage

Fault = Callable[[RedisServer], Coroutine[Any, Any, None]]


async def stopped(redis: RedisServer) -> None:
    redis.stop(kill=True)
    await asyncio.sleep(AWAY)
    redis.start()


async def wiped(redis: RedisServer) -> None:
    redis.flush()


async def replaced(redis: RedisServer) -> None:
    """Killed, its disk lost, and a new one in its place."""
    redis.stop(kill=True)
    await asyncio.sleep(AWAY)
    for left in redis.folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    redis.start()


async def shipped(around: Surroundings) -> Outcome:
    figures: dict[str, object] = {}
    broken = faults = 0
    async with payment_provider(around) as provider:
        service = order_service(around, around.new_database(), provider)
        customers = Customers(service.url)
        async with started(service.process):
            await service.ready()
            for fault in (stopped, wiped, replaced):
                count = around.count(ORDERS, 60)
                await customers.place(count // 3)
                await all_final(service.url, 60.0)
                accepted = len(customers.acknowledged)
                placing = asyncio.create_task(customers.place(count // 3, at_once=4))
                await fault(around.redis)
                faults += 1
                back = time.monotonic()
                during = len(customers.acknowledged) - accepted
                await placing
                await customers.place(count // 3)
                missing, seconds = await _until_complete(around, set(customers.acknowledged), back)
                figures[f"{fault.__name__}: accepted meanwhile"] = during
                figures[f"{fault.__name__}: missing"] = missing
                figures[f"{fault.__name__}: repaired in s"] = seconds
                broken += missing + (fault is not wiped and during == 0)
    wire = read_wire(around.redis)
    figures |= {
        "orders": len(customers.acknowledged),
        "refused": len(customers.refused),
        "out of order": wire.disordered,
    }
    return Outcome(faults, broken + len(customers.refused) + wire.disordered, figures)


async def _until_complete(around: Surroundings, orders: set[str], since: float) -> tuple[int, float]:
    """What is missing at the bound, and when it was nothing, in seconds after Redis was back."""
    while True:
        missing = read_wire(around.redis).missing(orders)
        seconds = time.monotonic() - since
        if missing == 0 or seconds > BOUND:
            return missing, seconds
        await asyncio.sleep(0.25)


class TrustingWire:
    """The bus without its marker: what was sent is believed to be there."""

    def __init__(self, bus: RedisEventBus) -> None:
        self._bus = bus
        self._last = 0

    async def last(self) -> int:
        return self._last

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        if after != self._last:
            return self._last
        await self._bus.publish([CloudEvent.from_json(message.payload) for message in messages])
        self._last = batch
        return batch


async def without_repair(around: Surroundings) -> Outcome:
    """A relay that trusts its marks: what it has sent it never sends again."""
    bus = RedisEventBus(around.redis.url)
    async with open_event_store(around.new_database()) as store:

        async def all_sent() -> bool:
            return await store.outbox.count_pending() == 0

        relay = Relay(store.outbox, TrustingWire(bus), Leadership(store.leases, RELAY, ttl=5.0))
        relaying = asyncio.create_task(relay.run())
        for number in range(100):
            event = CloudEvent("order.created", "/chaos", f"ord_{number}", {}, version=1)
            message = Message(event.id, event.topic, event.subject, event.to_json())
            await store.append(f"ord_{number}", [NewEvent(event.type, {})], expected_version=0, messages=[message])
            if number == 60:
                await eventually(all_sent, within=30.0)
                await wiped(around.redis)
        await eventually(all_sent, within=30.0)
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
    await bus.aclose()
    missing = 100 - len(read_wire(around.redis).ids)
    return Outcome(1, missing, {"messages": 100, "missing": missing})


EXPERIMENT = Experiment(
    "bus outage",
    "orders go on being accepted; 0 missing in at most 30 s",
    shipped,
    [Control("no repair from the outbox", without_repair)],
)
