"""What the service does, one verb a class."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cortex_core.kernel import Clock, CortexError, Delivered
from cortex_core.realtime import Allowance, Closing, Connection
from cortex_notification.domain import OriginRefused, admits, answer, error_frame, event_frame, welcome_frame
from cortex_notification.ports import Audience, Door

# Close codes: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
NO_BINARY: Final = Closing(1003, "messages are text")
TOO_MUCH: Final = Closing(1008, "too many messages")
TOO_LARGE: Final = Closing(1009, "the message is too large")


class Wired(Protocol):
    """An event's data, as `cortex_contracts.EventData`."""

    def wire(self) -> Mapping[str, Any]: ...


class Recent:
    """The ids of the newest `limit` events. What is published again, after the bus has lost it, is no news."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: dict[str, None] = {}

    def is_news(self, event_id: str) -> bool:
        """True the first time; and again when `limit` others have come since."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > self._limit:
            del self._ids[next(iter(self._ids))]
        return True


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Brings an event to its tenant's clients, once: encoded once, waiting for none of them."""

    audience: Audience
    recent: Recent

    async def __call__(self, event: Delivered[Wired]) -> None:
        if not self.recent.is_news(event.id):
            return
        self.audience.send(event.tenant, event_frame(event.type, event.id, event.time, event.data.wire()))


@dataclass(frozen=True, slots=True)
class Manners:
    """What a client may do: pages of which `origins` may connect, how large a message may be (bytes), how many may
    come at once and how many a second in the long run, and for how long it may leave a frame untaken (`patience`,
    seconds)."""

    origins: frozenset[str]
    message_limit: int
    message_burst: int
    message_rate: float
    patience: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """One client's line, and what is made of what it says. Errors are told, abuse ends the line."""

    line: Connection
    clock: Clock
    manners: Manners
    allowance: Allowance

    def hear(self, message: str | bytes) -> None:
        """Never waits, never raises: the answer, or the end, waits in the line."""
        if not self.allowance.take(self.clock.monotonic()):
            self.line.close(TOO_MUCH)
        elif isinstance(message, bytes):
            self.line.close(NO_BINARY)
        elif len(message) > self.manners.message_limit or len(message.encode()) > self.manners.message_limit:
            self.line.close(TOO_LARGE)
        else:
            self.line.offer(self._answer(message))

    @staticmethod
    def _answer(message: str) -> str:
        try:
            return answer(message)
        except CortexError as error:
            return error_frame(error)


@dataclass(frozen=True, slots=True)
class Connect:
    """Lets a client in and greets it."""

    door: Door
    clock: Clock
    manners: Manners

    @contextmanager
    def __call__(
        self, tenant: str, origin: str | None, hosts: frozenset[str], caller: str | None = None
    ) -> Iterator[Conversation]:
        """Raises OriginRefused, TooManyConnections, TooManyOfOne, ConnectionsClosed."""
        if not admits(origin, hosts, self.manners.origins):
            raise OriginRefused(str(origin))
        with self.door.open(tenant, caller) as line:
            line.offer(welcome_frame(line.id, self.clock.now()))
            allowance = Allowance(self.manners.message_rate, self.manners.message_burst, self.clock.monotonic())
            yield Conversation(line, self.clock, self.manners, allowance)


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    broadcast: Broadcast
    connect: Connect
