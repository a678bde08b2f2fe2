"""PooledUpstreams by itself: the contract of `ports.Upstreams`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.chassis import UpstreamTimeout, UpstreamUnavailable
from cortex_core.kernel import SystemClock
from cortex_core.observability import Tracer
from cortex_gateway.adapters import PooledUpstreams, sockets
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.adapters.sockets import Sockets
from cortex_gateway.routes import Service

from .upstreams_contract import ConnectContract, ExchangeContract, FetchContract, Open, StreamContract, call


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


async def test_what_opens_sockets_comes_with_the_first_of_them_and_once(
    black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Sockets] = []

    class Noted(Sockets):
        def __init__(self, pool: ConnectionPool) -> None:
            made.append(self)
            super().__init__(pool)

    monkeypatch.setattr(sockets, "Sockets", Noted)
    async with open_pooled(black_hole) as upstreams:
        assert made == []

        async def connect() -> None:
            async with upstreams.connect(call(timeout=0.05), []):
                pass

        refused = await asyncio.gather(connect(), connect(), return_exceptions=True)
        session = made[0]._session
        assert {type(each) for each in refused} <= {UpstreamTimeout, UpstreamUnavailable}

    assert len(made) == 1
    assert session.closed
