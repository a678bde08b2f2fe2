"""Everybody who is connected to this process, by tenant.

Promises that one who does not take his frames delays nobody: sending is a loop over queues that never waits, and a
frame is text made once for all. Bounded in both directions: at most `limit` connections, each with at most `queue`
frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id
from cortex_core.realtime.connection import Closing, Connection
from cortex_core.realtime.hooks import ConnectionDetails, OnConnection, Unheard


class TooManyConnections(CortexError):
    """This process holds as many connections as it may. Another replica may have room."""

    code, kind = "realtime.too-many-connections", Kind.UNAVAILABLE

    def __init__(self, limit: int) -> None:
        super().__init__(f"all {limit} connections of this process are taken", retry_after=5)


class ConnectionsClosed(CortexError):
    """The process is ending and takes no new connections."""

    code, kind = "realtime.closed", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("shutting down", retry_after=1)


class Connections:
    """See the module. Belongs to one event loop."""

    def __init__(self, *, limit: int, queue: int, hooks: OnConnection | None = None) -> None:
        if limit < 1 or queue < 1:
            raise ValueError(f"limit and queue must be at least 1, not {limit} and {queue}")
        self._limit = limit
        self._queue = queue
        self._hooks = hooks or Unheard()
        self._by_tenant: dict[str, dict[str, Connection]] = {}
        self._count = 0
        self._over: Closing | None = None

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def open(self, tenant: str) -> Iterator[Connection]:
        """A connection that hears its tenant's frames for as long as the block runs.

        Raises TooManyConnections, and ConnectionsClosed after `close`.
        """
        if self._over is not None:
            raise ConnectionsClosed
        if self._count >= self._limit:
            raise TooManyConnections(self._limit)
        connection = Connection(new_id("client"), tenant, queue=self._queue)
        self._by_tenant.setdefault(tenant, {})[connection.id] = connection
        self._count += 1
        self._hooks.opened(ConnectionDetails(connection.id, tenant, self._count))
        try:
            yield connection
        finally:
            self._forget(connection)
            self._hooks.ended(ConnectionDetails(connection.id, tenant, self._count, connection.closing))

    def send(self, tenant: str, frame: str) -> int:
        """Queues `frame` for everybody of `tenant`; how many got it. Never waits: who has no room is closed (1013)."""
        return sum(connection.offer(frame) for connection in self._by_tenant.get(tenant, {}).values())

    def close(self, closing: Closing) -> None:
        """Asks every connection to end so, and lets nobody in any more."""
        self._over = closing
        for connections in self._by_tenant.values():
            for connection in connections.values():
                connection.close(closing)

    def _forget(self, connection: Connection) -> None:
        siblings = self._by_tenant[connection.tenant]
        del siblings[connection.id]
        if not siblings:
            del self._by_tenant[connection.tenant]
        self._count -= 1
