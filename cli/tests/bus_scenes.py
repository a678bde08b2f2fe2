"""Events, members of groups and dead letters, on a real Redis, for the tests of `cortex events`."""

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cortex_core.events import CloudEvent, ConsumerPolicy
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import eventually

Cortex = Callable[..., subprocess.CompletedProcess[str]]
DEAD = "cortex:public:dead:analytics"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def event(number: int, **data: object) -> CloudEvent:
    return CloudEvent("order.created", "/cortex/order", f"ord_{number}", {"number": number, **data}, id=f"evt_{number}")


@asynccontextmanager
async def member(bus: RedisEventBus, group: str, *, dies: bool = False) -> AsyncIterator[list[str]]:
    """What the group was handed; `dies` sends all of it to its dead letters."""
    heard: list[str] = []

    async def handle(event: CloudEvent) -> None:
        heard.append(event.id)
        if dies:
            raise ValueError("cannot be taken")

    subscription = await bus.consume(group, ["order"], handle, ConsumerPolicy(attempts=1))
    try:
        yield heard
    finally:
        await subscription.aclose()


async def die(bus: RedisEventBus, *events: CloudEvent) -> list[str]:
    """Makes them dead letters of `analytics`; their entries."""
    await bus.publish(events)
    async with member(bus, "analytics", dies=True):

        async def dead() -> list[str]:
            letters = await bus.log.dead_letters("analytics")
            return [letter.entry for letter in letters] if len(letters) == len(events) else []

        return await eventually(dead)
