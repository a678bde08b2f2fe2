"""The roles the use cases need. `cortex_core.realtime.Connections` plays both."""

from contextlib import AbstractContextManager
from typing import Protocol

from cortex_core.realtime import Connection


class Audience(Protocol):
    """Everybody who is connected here."""

    def send(self, tenant: str, frame: str) -> int:
        """Queues `frame` for everybody of `tenant`, without waiting for anybody; how many that was."""
        ...


class Door(Protocol):
    """The way in."""

    def open(self, tenant: str, caller: str | None = None) -> AbstractContextManager[Connection]:
        """A line for one client, held while the block runs; `caller` is whose it is. Raises TooManyConnections,
        TooManyOfOne, ConnectionsClosed."""
        ...
