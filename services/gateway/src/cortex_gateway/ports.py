"""The role the gateway needs: services that can be talked to. Contract: tests/test_aiohttp_upstreams.py."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from cortex_gateway.domain import Headers
from cortex_gateway.routes import Service


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to a service. `target` is path and query, encoded. `body` is None where there is none.

    `timeout` in seconds bounds every wait for the service, never one for the client. `deadline_sent`: tell the service
    that nobody waits longer than that in all.
    """

    service: Service
    method: str
    target: str
    headers: Headers
    body: AsyncIterator[bytes] | None
    timeout: float
    deadline_sent: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A service's answer, its body still on the way."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a WebSocket. `code` as RFC 6455, section 7.4; 1005 where there was none, 1006 where it just broke."""

    code: int
    reason: str = ""


class Socket(Protocol):
    """A WebSocket to a service."""

    subprotocol: str | None

    async def send(self, data: str | bytes) -> None:
        """Waits while the service does not read."""
        ...

    async def receive(self) -> str | bytes | Closed: ...

    async def close(self, closed: Closed) -> None: ...


class Upstreams(Protocol):
    """See the module. Errors are UpstreamUnavailable and UpstreamTimeout, each naming the service and no address."""

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Sends the call, yields the answer. Leaving the block early ends the exchange with the service too. An error
        of the call's body is raised as it is."""
        ...

    def connect(self, call: Call, subprotocols: list[str]) -> AbstractAsyncContextManager[Socket]:
        """Opens a WebSocket. Raises Refused where the service answers with something else."""
        ...

    async def fetch(self, service: Service, path: str, timeout: float) -> Any:
        """A JSON document of the service's own, within `timeout` seconds in all."""
        ...
