"""PooledUpstreams by itself: the contract of `ports.Upstreams`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.kernel import SystemClock
from cortex_core.observability import Tracer
from cortex_gateway.adapters import PooledUpstreams
from cortex_gateway.routes import Service

from .upstreams_contract import ConnectContract, ExchangeContract, FetchContract, Open, StreamContract


@asynccontextmanager
async def open_pooled(
    address: str | Mapping[Service, str], *, tracer: Tracer | None = None, connections: int = 10, **more: Any
) -> AsyncIterator[PooledUpstreams]:
    addresses = dict.fromkeys(Service, address) if isinstance(address, str) else address
    made = PooledUpstreams(
        addresses, tracer=tracer or Tracer("gateway"), clock=SystemClock(), connections=connections, **more
    )
    async with made.opened() as opened:
        yield opened


class TestPooledUpstreams(ExchangeContract, StreamContract, FetchContract, ConnectContract):
    @pytest.fixture
    def open_upstreams(self) -> Open:
        return open_pooled
