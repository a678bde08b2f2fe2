"""A gateway with keys, and who asks it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.events import MemoryEventBus
from cortex_core.security.api_keys import KeyDesk, MemoryApiKeys, Peppers
from cortex_core.testing import FakeClock

from .callers import PEPPER, SCOPES, Caller, caller


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryApiKeys:
    return MemoryApiKeys(clock=clock)


@pytest.fixture
def bus() -> MemoryEventBus:
    return MemoryEventBus()


@pytest.fixture
def desk(store: MemoryApiKeys, clock: FakeClock) -> KeyDesk:
    return KeyDesk(store, Peppers.of(PEPPER), clock=clock)


@pytest.fixture
async def client(
    start_gateway: Any, store: MemoryApiKeys, clock: FakeClock, bus: MemoryEventBus
) -> AsyncIterator[ClientSession]:
    settings = {"key_pepper": PEPPER, "tenants": frozenset({"public", "acme"})}
    async with start_gateway(settings, {"api_keys": store, "clock": clock, "bus": bus}) as client:
        yield client


@pytest.fixture
async def root(client: ClientSession, desk: KeyDesk) -> Caller:
    return await caller(client, desk, *SCOPES)
