"""What belongs to one service: its replicas, their connections, and the blocks that every request to it passes."""

import asyncio
import ssl
from collections.abc import Sequence
from functools import cache

from cortex_core.chassis.upstream import OutOfTime, Upstream, UpstreamTimeout
from cortex_core.resilience import RetryExecutor
from cortex_gateway.adapters.pool import alive
from cortex_gateway.adapters.pool.addresses import RESOLVED_EVERY, Address, resolve
from cortex_gateway.adapters.pool.connection import Connection
from cortex_gateway.adapters.pool.errors import unavailable
from cortex_gateway.adapters.pool.exchange import PooledExchange
from cortex_gateway.adapters.pool.hooks import PoolHooks
from cortex_gateway.adapters.pool.replicas import Replica, Replicas
from cortex_gateway.adapters.pool.slow import Gathering, SlowClients
from cortex_gateway.routes import Service


class ServicePool:
    """At most `places` requests at a time, and as many connections; as many more requests wait their turn. Half as many
    more go at the pace of clients that are slow (slow.py). `gathering` is every service's."""

    def __init__(
        self,
        service: Service,
        addresses: Sequence[Address],
        *,
        upstream: Upstream,
        retry: RetryExecutor,
        places: int,
        hooks: PoolHooks,
        gathering: Gathering,
    ) -> None:
        """On the loop that it serves."""
        self.service = service
        self.loop = asyncio.get_running_loop()
        self.breaker, self.bulkhead = upstream.breaker, upstream.bulkhead
        self.rules = retry.rules
        self.clock = self.rules.clock
        self._configured = addresses
        self._places = places
        self.gathering, self.slow = gathering, SlowClients(max(1, places // 2))
        self._hooks = hooks
        self.replicas = Replicas(addresses, self._ejected)
        self._under_way: set[asyncio.Task[None]] = set()
        self._resolving = self.loop.create_task(self._resolve_anew()) if any(a.is_name for a in addresses) else None

    def on_clock(self, deadline: float | None) -> float | None:
        """A reading of the loop's clock as one of the resilience blocks'."""
        return None if deadline is None else self.clock.monotonic() + deadline - self.loop.time()

    def _ejected(self, replica: Replica, seconds: float) -> None:
        self._hooks.ejected(self.service, f"{replica.address.host}:{replica.address.port}", seconds)

    def raced(self) -> None:
        self._hooks.raced(self.service)

    def ran_out(self, error: UpstreamTimeout) -> None:
        """A call ended with that."""
        self._hooks.ran_out(self.service, hurried=isinstance(error, OutOfTime))

    # Whether they are there

    def suspect(self, replica: Replica) -> None:
        """It keeps somebody waiting: it is asked whether it is there, until it says so, and at most once a second."""
        if not replica.asked and not replica.gone:
            replica.asked = True
            task = self.loop.create_task(self._watch(replica))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _watch(self, replica: Replica) -> None:
        tls = _tls() if replica.address.secure else None
        try:
            while not await alive.speaks(replica.address, tls) and not replica.gone:
                if not replica.hung:
                    self.replicas.silent(replica)
                    for connection in list(replica.connections):
                        if connection.exchange is not None:
                            connection.exchange.fell_silent()
                await self.clock.sleep(alive.PATIENCE)
            if replica.hung:
                self.replicas.spoken(replica, self.loop.time())
            await self.clock.sleep(alive.PATIENCE)
        finally:
            replica.asked = False

    # Connections

    def connect(self, exchange: PooledExchange, replica: Replica, timeout: float) -> "asyncio.Task[None]":
        """A new connection, which `exchange` hears of; or that there is none."""
        task = self.loop.create_task(self._connect(exchange, replica, timeout))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _connect(self, exchange: PooledExchange, replica: Replica, timeout: float) -> None:
        self._make_room()
        address = replica.address
        try:
            async with asyncio.timeout(timeout):
                _, connection = await self.loop.create_connection(
                    lambda: Connection(replica, self.loop),
                    address.host,
                    address.port,
                    ssl=_tls() if address.secure else None,
                    server_hostname=address.name if address.secure else None,
                )
        except TimeoutError:
            return exchange.not_connected_within(timeout)
        except (OSError, ValueError) as error:  # ValueError: a name that is no name
            return exchange.not_connected(unavailable(self.service, type(error).__name__, attempted=False))
        exchange.connected(connection)

    def _make_room(self) -> None:
        """Kept connections give way where others are needed: there are never many more than places."""
        excess = sum(len(replica.connections) for replica in self.replicas.all) + 1 - self._places - len(self.slow)
        for replica in self.replicas.all if excess > 0 else ():
            oldest, replica.idle = replica.idle[:excess], replica.idle[excess:]
            for connection in oldest:
                connection.close()
            excess -= len(oldest)

    def outstanding(self) -> int:
        """Requests under way."""
        return sum(replica.outstanding for replica in (*self.replicas.all, *self.replicas.former))

    def active(self) -> int:
        """Connections that are in use."""
        return sum(
            len(replica.connections) - len(replica.idle) for replica in (*self.replicas.all, *self.replicas.former)
        )

    def idle(self) -> int:
        """Connections that are kept."""
        return sum(len(replica.idle) for replica in (*self.replicas.all, *self.replicas.former))

    # Names

    async def _resolve_anew(self) -> None:
        while True:
            await self.resolve()
            await asyncio.sleep(RESOLVED_EVERY)

    async def resolve(self) -> None:
        """The replicas as the names say now; a name that says nothing keeps what it said."""
        found: list[Address] = []
        for configured in self._configured:
            try:
                found += await resolve(configured)
            except (OSError, ValueError):  # ValueError: what no name can be
                same = (configured.name, configured.port)
                kept = [r.address for r in self.replicas.all if (r.address.name, r.address.port) == same]
                found += kept or [configured]
        self.replicas.become(found)

    # Its end

    async def aclose(self, patience: float) -> None:
        """Waits `patience` seconds for what is under way, and then closes everything."""
        if self._resolving is not None:
            self._resolving.cancel()
        end = self.loop.time() + patience
        while self.outstanding() and self.loop.time() < end:  # noqa: ASYNC110 - its end is no event anybody else needs
            await asyncio.sleep(0.01)
        ending = list(self._under_way)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for replica in (*self.replicas.all, *self.replicas.former):
            for connection in list(replica.connections):
                connection.end()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
