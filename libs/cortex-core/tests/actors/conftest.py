"""An actor system on a fake clock, and somebody who listens to all its hooks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cortex_core.actors import ActorOptions, ActorSystem, Supervision
from cortex_core.testing import FakeClock

from .cast import Calls, CallsLater, Heard, LongestJitter, Order, Register, turns


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def system(clock: FakeClock, heard: Heard) -> AsyncIterator[ActorSystem]:
    system = ActorSystem("orders", clock=clock, hooks=heard.hooks(), rng=LongestJitter())
    yield system
    drain = asyncio.create_task(system.drain(within=0))
    while not drain.done():
        await clock.advance(1)


@pytest.fixture
def orders(system: ActorSystem) -> Register:
    Order.active, Order.most, Order.activations = {}, 0, []

    def register(max_active: int | None = None, **options: Any) -> None:
        options.setdefault("supervision", Supervision(backoff=0.0))
        system.register("order", Order, ActorOptions(**options), max_active=max_active)

    return register


@pytest.fixture
def seen() -> list[Any]:
    """What an actor received, over its restarts too."""
    return []


@pytest.fixture(params=[Calls, CallsLater])
async def ref(request: pytest.FixtureRequest, system: ActorSystem) -> Any:
    """An actor that rests: its next message is begun without its task."""
    ref = system.spawn(request.param, "doer")
    await turns()
    return ref
