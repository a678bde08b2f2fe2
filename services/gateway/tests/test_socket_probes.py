"""A WebSocket's opening that probes an ejected replica, and of which nothing comes: the next one is its probe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from cortex_core.chassis import Resilience, UpstreamUnavailable
from cortex_core.testing import eventually
from cortex_gateway.adapters.pool import ConnectionPool
from cortex_gateway.adapters.pool.replicas import EJECTED_AT_MOST, FAILURES, Replica
from cortex_gateway.adapters.sockets import Sockets
from cortex_gateway.ports import Call
from cortex_gateway.routes import Service

from .carrier_server import for_ever, serving_raw

OPENING = Call(Service.ORDER, "GET", "/ws", (), None, 5.0, deadline_sent=True)


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await for_ever()


@pytest.fixture
async def pool() -> AsyncIterator[ConnectionPool]:
    async with serving_raw(silent) as one, serving_raw(silent) as other:
        pool = ConnectionPool({Service.ORDER: f"{one},{other}"}, resilience=Resilience())
        async with pool.opened():
            yield pool


def ejected(pool: ConnectionPool) -> Replica:
    """A replica whose time is over: the next opening probes it."""
    replicas = pool.services[Service.ORDER].replicas
    replica = replicas.all[1]
    for _ in range(FAILURES):
        replicas.failed(replica, 0.0)
    assert replica.ejections == 1
    return replica


def is_probed_again(pool: ConnectionPool, replica: Replica) -> bool:
    replicas, now = pool.services[Service.ORDER].replicas, asyncio.get_running_loop().time() + EJECTED_AT_MOST
    return any(replicas.choose(now, None, safe=True) is replica for _ in range(2))


async def open_one(sockets: Sockets) -> None:
    async with sockets.connect(OPENING, [], []):
        pass


async def test_a_client_that_hangs_up_while_its_socket_is_opened(pool: ConnectionPool) -> None:
    async with Sockets(pool).opened() as sockets:
        replica = ejected(pool)
        opening = asyncio.create_task(open_one(sockets))
        await eventually(lambda: replica.outstanding == 1)
        assert replica.probed
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening

        assert (replica.probed, replica.outstanding) == (False, 0)
        assert is_probed_again(pool, replica)


async def test_an_open_circuit(pool: ConnectionPool) -> None:
    async with Sockets(pool).opened() as sockets:
        replica = ejected(pool)
        pool.services[Service.ORDER].breaker.force_open()
        with pytest.raises(UpstreamUnavailable, match="circuit"):
            await open_one(sockets)

        assert (replica.probed, replica.outstanding) == (False, 0)
        assert is_probed_again(pool, replica)
