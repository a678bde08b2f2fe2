"""The roles the gateway needs: services that can be talked to, as streams (`Upstreams`) for what goes through the
application, by callbacks (`Carrier`) for the express lane. Contracts: tests/upstreams_contract.py,
tests/carrier_*.py.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from cortex_core.kernel import CortexError
from cortex_gateway.domain import Headers
from cortex_gateway.routes import Service


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to a service. `target` is path and query, encoded. `body` is None where there is none.

    `timeout` in seconds bounds every wait for the service, never one for the client. `deadline_sent`: tell the service
    that nobody waits longer than that in all. `retry`: what is idempotent may be sent a second time.
    `body_limit` bounds a WebSocket's messages, in bytes: what is larger ends it with 1009.
    """

    service: Service
    method: str
    target: str
    headers: Headers
    body: AsyncIterator[bytes] | None
    timeout: float
    deadline_sent: bool
    retry: bool = True
    body_limit: int = 1 << 20


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


class KeptAnswers(Protocol):
    """What this replica keeps of answers."""

    def heard(self, tenant: str, event: str, subject: str) -> int:
        """What an event of this type about this subject put out of date goes, and what was asked for before is not
        kept. How many addresses went."""
        ...


class Departure(NamedTuple):
    """A request for the express lane, its head already written but for what only the connection knows.

    `fields` are header lines, each ended by CRLF: everything a service gets to see except `Host`, `Content-Length`,
    `Transfer-Encoding`, `Connection`, `X-Request-Deadline` and `X-Retry-Budget`, which whoever carries it adds.
    `length`: bytes of the body to come; None where nobody knows. `timeout` in seconds as in `Route`; `deadline` is a
    reading of the loop's clock, after which nobody waits, None where there is none; `streams`: the service is told no
    deadline of the route's, and a longer body goes out as it comes (chunked, without a length); any other is sent when
    it is whole. `retry`: may be sent a second time where no answer began. `echo`: a header line, from the line end
    before it to its own, that is left out where the service says it back: equal answers are then seen to be equal.
    """

    service: Service
    method: bytes
    target: bytes
    fields: bytes
    length: int | None
    timeout: float
    deadline: float | None = None
    streams: bool = False
    retry: bool = False
    budget: float | None = None
    echo: bytes = b""


class Head(NamedTuple):
    """The head of a service's final answer. `fields`: its header lines as they came, each ended by CRLF, without those
    of that hop alone (RFC 9110, section 7.6.1); `Content-Length` stands where the service sent it. `folded` is the same
    in lower case, to look things up in. `length`: bytes of body that will come, None where only its end will tell.
    """

    status: int
    fields: bytes
    folded: bytes
    length: int | None


class Receiver(Protocol):
    """Who gets the answer: called on the loop, in this order, and not after `completed` or `failed`."""

    def answered(self, head: Head) -> None: ...

    def received(self, data: bytes) -> None:
        """The next part of the answer's body, unchunked."""
        ...

    def completed(self) -> None:
        """The answer was whole. Its connection is no longer this exchange's."""
        ...

    def arrived(self, head: Head, body: bytes) -> None:
        """`answered`, `received` (where there is a body) and `completed` at once: an answer that came whole. `head` is
        the same object for answers whose heads are the same."""
        ...

    def failed(self, error: CortexError) -> None:
        """No answer (UpstreamUnavailable, UpstreamTimeout), or one that broke off half-way: `answered` tells which."""
        ...

    def hold_body(self) -> None:
        """The service does not take more now, or there is no connection yet: send nothing until `go_on`."""
        ...

    def go_on(self) -> None: ...


class Exchange(Protocol):
    """One request with a service, as its sender holds it. Everything is done at once and nothing is awaited."""

    def write(self, data: bytes) -> None:
        """The next part of the request's body, unchunked; chunked on the way where `length` was None."""
        ...

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None:
        """Our client does not take more now: at most one more `received` comes before `resume_reading`."""
        ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None:
        """Nobody wants the answer any more. Its receiver hears nothing further."""
        ...


class Carrier(Protocol):
    """Carries requests to services, every one under deadline, breaker, bulkhead and retry budget."""

    def begin(self, departure: Departure, body: bytes, receiver: Receiver) -> Exchange:
        """Sends it as soon as there is a connection, with `body` in the same write: all of it where that has
        `departure.length` bytes, else its beginning. Never raises: what is wrong is the receiver's to hear, and never
        before `begin` has returned."""
        ...
