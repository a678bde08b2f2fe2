"""Who is cancelled leaves nothing behind."""

import asyncio

from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually
from cortex_core.testing.cancelling import cancelled_wherever_it_waits
from cortex_core.testing.contracts.bus import order_event


async def unheard(event: CloudEvent) -> None: ...


def connections(server: RedisServer) -> list[str]:
    """Others' than the one that asks."""
    return [line for line in server.command("CLIENT", "LIST").splitlines() if "cmd=client" not in line]


async def test_a_bus_that_is_cancelled_anywhere_leaves_no_connection(redis_server: RedisServer, redis_url: str) -> None:
    async def use() -> None:
        bus = RedisEventBus(redis_url, drain=1.0)
        try:
            await bus.subscribe(["order"], unheard)
            await bus.consume("analytics", ["order"], unheard)
            await bus.publish([order_event(1)])
            await bus.check()
        finally:
            await bus.aclose()

    assert await cancelled_wherever_it_waits(use) > 5

    await eventually(lambda: connections(redis_server) == [])


async def test_a_member_that_leaves_a_bus_which_has_been_closed_opens_nothing(
    redis_server: RedisServer, redis_url: str
) -> None:
    handling, let_go = asyncio.Event(), asyncio.Event()

    async def handle(event: CloudEvent) -> None:
        handling.set()
        await let_go.wait()

    bus = RedisEventBus(redis_url, drain=60.0)
    await bus.consume("analytics", ["order"], handle)
    await bus.publish([order_event(1)])
    await handling.wait()
    closing = asyncio.create_task(bus.aclose())
    await eventually(lambda: any(task.get_name() == "leave analytics" for task in asyncio.all_tasks()))
    closing.cancel()
    await asyncio.wait([closing])

    let_go.set()

    await eventually(lambda: bus.subscriber_count() == 0)
    await eventually(lambda: connections(redis_server) == [], within=2.0)
