"""What a pool tells of itself. Metrics leave through here."""

from typing import Protocol

from cortex_gateway.routes import Service


class PoolHooks(Protocol):
    """Called on the loop, and not to wait."""

    def ejected(self, service: Service, replica: str, seconds: float, /) -> None:
        """A replica (host and port) is left out for so long."""
        ...

    def raced(self, service: Service, /) -> None:
        """A kept connection turned out to be closed; its request went to another."""
        ...


class Unheard:
    """Nobody listens."""

    def ejected(self, *_: object) -> None:
        return None

    def raced(self, _: Service) -> None:
        return None
