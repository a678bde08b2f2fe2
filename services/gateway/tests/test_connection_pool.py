"""ConnectionPool by itself: the contract of `ports.Carrier`, and what is its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.chassis import Resilience
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.routes import Service

from .carrier_contract import CarrierContract
from .carrier_nonsense import Nonsense
from .carrier_pace import Pace
from .carrier_second import Second
from .carrier_server import Open
from .carrier_uploads import Uploads


@asynccontextmanager
async def open_pool(address: str, *, connections: int = 10, **more: Any) -> AsyncIterator[ConnectionPool]:
    pool = ConnectionPool({Service.ORDER: address}, connections=connections, **{"resilience": Resilience(), **more})
    async with pool.opened() as opened:
        yield opened


class TestConnectionPool(CarrierContract, Nonsense, Uploads, Pace, Second):
    @pytest.fixture
    def opened(self) -> Open:
        return open_pool
