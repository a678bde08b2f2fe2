"""ConnectionPool: `ports.Carrier` over connections of its own, a pool of them for each service.

One that hangs cannot use up another's. Made outside of the event loop, opened on it. Next: service.py is what belongs
to one service, exchange.py a request's course, connection.py what is on the wire.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from cortex_core.chassis import Resilience, Unwell, UpstreamUnavailable
from cortex_gateway.adapters.pool.addresses import read_addresses
from cortex_gateway.adapters.pool.errors import CONNECT, UpstreamMalformed
from cortex_gateway.adapters.pool.exchange import PooledExchange
from cortex_gateway.adapters.pool.hooks import PoolHooks, Unheard
from cortex_gateway.adapters.pool.service import ServicePool
from cortex_gateway.adapters.pool.slow import Gathering
from cortex_gateway.adapters.pool.verdict import ELSEWHERE
from cortex_gateway.ports import Departure, Exchange, Receiver
from cortex_gateway.routes import Service

_PATIENCE: Final = 5.0  # seconds for what is still under way when the server has been drained


class ConnectionPool:
    """`addresses` are base URLs, several of a service by commas. At most `connections` requests at a time to each
    service; as many more wait for half a second."""

    def __init__(
        self,
        addresses: Mapping[Service, str],
        *,
        resilience: Resilience,
        connections: int = 256,
        hooks: PoolHooks | None = None,
    ) -> None:
        """Raises ValueError for what is no address."""
        self._addresses = {service: read_addresses(text) for service, text in addresses.items()}
        self._upstreams = {
            service: resilience.upstream(service, connections, queue_timeout=CONNECT) for service in addresses
        }
        self._retries = {
            service: resilience.retry(
                service, max_attempts=2, base_delay=0.02, max_delay=0.1, deadline=ELSEWHERE, retry_on=_is_worth_it
            )
            for service in addresses
        }
        self._connections = connections
        self._hooks = hooks or Unheard()
        self.services: dict[Service, ServicePool] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["ConnectionPool"]:
        """Holds the connections; at the end of the block waits a little for what is under way, and closes them."""
        gathering = Gathering()
        for service, addresses in self._addresses.items():
            self.services[service] = ServicePool(
                service,
                addresses,
                upstream=self._upstreams[service],
                retry=self._retries[service],
                places=self._connections,
                hooks=self._hooks,
                gathering=gathering,
            )
        try:
            yield self
        finally:
            await self.aclose()

    def begin(self, departure: Departure, body: bytes, receiver: Receiver) -> Exchange:
        exchange = PooledExchange(self.services[departure.service], departure, body, receiver)
        exchange.start(body)
        return exchange

    def begin_unguarded(self, departure: Departure, receiver: Receiver) -> Exchange:
        """Past circuit and places: for what is asked of a service about itself."""
        exchange = PooledExchange(self.services[departure.service], departure, b"", receiver)
        exchange.start_unguarded()
        return exchange

    async def aclose(self) -> None:
        for pool in self.services.values():
            await pool.aclose(_PATIENCE)


def _is_worth_it(error: Exception) -> bool:
    return isinstance(error, UpstreamUnavailable | Unwell) and not isinstance(error, UpstreamMalformed)
