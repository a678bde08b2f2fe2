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

    def ran_out(self, service: Service, /, *, hurried: bool) -> None:
        """A call was given up for time: `hurried` where its caller had less than its route allows."""
        ...


class Unheard:
    """Nobody listens."""

    def ejected(self, *_: object) -> None:
        return None

    def raced(self, _: Service) -> None:
        return None

    def ran_out(self, _: Service, *, hurried: bool) -> None:
        del hurried
