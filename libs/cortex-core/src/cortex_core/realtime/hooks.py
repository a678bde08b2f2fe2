"""What connections tell whoever wants to know: figures and log lines are made elsewhere."""

from dataclasses import dataclass
from typing import Protocol

from cortex_core.realtime.connection import Closing


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """A connection as it begins or ends. `connected` counts all there are now. `closing` is None while it begins, and
    when it ended because its client left."""

    id: str
    tenant: str
    connected: int
    closing: Closing | None = None


class OnConnection(Protocol):
    """Called in the task that opens or ends the connection: must not block, must not raise."""

    def opened(self, details: ConnectionDetails) -> None: ...

    def ended(self, details: ConnectionDetails) -> None: ...


class Unheard:
    """Nobody wants to know."""

    def opened(self, details: ConnectionDetails) -> None:
        pass

    def ended(self, details: ConnectionDetails) -> None:
        pass
