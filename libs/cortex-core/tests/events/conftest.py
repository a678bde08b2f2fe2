"""Buses on the real Redis of this test worker."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortex_core.events.redis import RedisEventBus
from cortex_core.testing.contracts.bus import TENANTS, RecordingHooks

MakeBus = Callable[..., RedisEventBus]


@pytest.fixture
def drain() -> float:
    """Seconds that a bus which closes gives its handlers; where that is the point, tests say less."""
    return 30.0


@pytest.fixture
async def make_bus(redis_url: str, drain: float) -> AsyncIterator[MakeBus]:
    """Makes buses on the test's Redis; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> RedisEventBus:
            bus = RedisEventBus(redis_url, **{"tenants": TENANTS, "drain": drain, **settings})
            stack.push_async_callback(bus.aclose)
            return bus

        yield make


@pytest.fixture
def hooks() -> RecordingHooks:
    return RecordingHooks()


@pytest.fixture
def bus(make_bus: MakeBus, hooks: RecordingHooks) -> RedisEventBus:
    return make_bus(hooks=hooks)
