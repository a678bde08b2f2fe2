"""Everybody who is connected to this process, by tenant.

Promises that one who does not take his frames delays nobody: sending is a loop over queues that never waits, and a
frame is text made once for all. Bounded in both directions: at most `limit` connections, each with at most `queue`
frames; and of these no more of one tenant, and of one caller, than they may have, so that one does not take them all.
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


class TooManyOfOne(CortexError):
    """One caller, or one tenant, holds as many connections of this process as it may."""

    code, kind = "connection.too-many", Kind.RATE_LIMITED

    def __init__(self, whose: str, limit: int) -> None:
        super().__init__(f"this {whose} has {limit} connections, as many as it may", retry_after=5, limit=limit)


class ConnectionsClosed(CortexError):
    """The process is ending and takes no new connections."""

    code, kind = "realtime.closed", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("shutting down", retry_after=1)


class Connections:
    """See the module. Belongs to one event loop. `per_tenant`, `per_caller`: None is no bound but `limit`."""

    def __init__(
        self,
        *,
        limit: int,
        queue: int,
        per_tenant: int | None = None,
        per_caller: int | None = None,
        hooks: OnConnection | None = None,
    ) -> None:
        bounds = {"limit": limit, "queue": queue, "per_tenant": per_tenant, "per_caller": per_caller}
        if wrong := [name for name, bound in bounds.items() if bound is not None and bound < 1]:
            raise ValueError(f"must be at least 1: {', '.join(wrong)}")
        self._limit = limit
        self._per_tenant = per_tenant or limit
        self._per_caller = per_caller or limit
        self._queue = queue
        self._hooks = hooks or Unheard()
        self._by_tenant: dict[str, dict[str, Connection]] = {}
        self._callers: dict[str, int] = {}
        self._count = 0
        self._over: Closing | None = None

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def open(self, tenant: str, caller: str | None = None) -> Iterator[Connection]:
        """A connection that hears its tenant's frames for as long as the block runs. `caller` is a name by which its
        connections are counted, over all tenants.

        Raises TooManyConnections, TooManyOfOne, and ConnectionsClosed after `close`.
        """
        if self._over is not None:
            raise ConnectionsClosed
        if self._count >= self._limit:
            raise TooManyConnections(self._limit)
        if caller is not None and self._callers.get(caller, 0) >= self._per_caller:
            raise TooManyOfOne("caller", self._per_caller)
        if len(self._by_tenant.get(tenant, ())) >= self._per_tenant:
            raise TooManyOfOne("tenant", self._per_tenant)
        connection = Connection(new_id("client"), tenant, queue=self._queue)
        self._by_tenant.setdefault(tenant, {})[connection.id] = connection
        self._count += 1
        if caller is not None:
            self._callers[caller] = self._callers.get(caller, 0) + 1
        self._hooks.opened(ConnectionDetails(connection.id, tenant, self._count))
        try:
            yield connection
        finally:
            self._forget(connection, caller)
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

    def _forget(self, connection: Connection, caller: str | None) -> None:
        siblings = self._by_tenant[connection.tenant]
        del siblings[connection.id]
        if not siblings:
            del self._by_tenant[connection.tenant]
        self._count -= 1
        if caller is not None:
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]
