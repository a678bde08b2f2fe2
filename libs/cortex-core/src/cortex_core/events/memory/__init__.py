"""The bus within one process: the same promises as the Redis bus, kept without Redis. Standard library only.

For tests, and for a program that is one process. What is published lives as long as the bus object does. A topic keeps
its newest `history` events; a group that is further behind than that has lost the oldest, as a trimmed stream would.

Ordering: a group handles one subject's events in the order of their publication, also while an earlier one waits for
its retry, and whichever member takes them.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from cortex_core.events.backlog import EntryId
from cortex_core.events.bus import ConsumerPolicy, Handler, Marker, Subscription
from cortex_core.events.delivery import DRAIN, Worker
from cortex_core.events.envelope import CloudEvent
from cortex_core.events.errors import BusUnavailable, MarkerMoved, encoded, name
from cortex_core.events.hooks import BusHooks, SafeHooks
from cortex_core.events.log import DeadLetter, EventLog
from cortex_core.events.memory.groups import Group, Membership, stream_again
from cortex_core.events.memory.logs import Cursor, Kept, Log
from cortex_core.events.memory.operations import MemoryEventLog
from cortex_core.events.memory.subscriber import Subscriber
from cortex_core.kernel.clock import Clock, SystemClock

__all__ = ["MemoryEventBus"]


class MemoryEventBus:
    """See the module and `EventBus`."""

    def __init__(
        self, *, clock: Clock | None = None, hooks: BusHooks | None = None, history: int = 10_000, drain: float = DRAIN
    ) -> None:
        """`drain`: the seconds a handler has to end when its subscription is closed; then it is cancelled."""
        if history < 1:
            raise ValueError(f"history must be at least 1, not {history}")
        self._clock: Final = clock or SystemClock()
        self._hooks: Final = SafeHooks(hooks)
        self._history: Final = history
        self._drain: Final = drain
        self._logs: dict[str, Log] = {}
        self._groups: dict[str, Group] = {}
        self._subscriptions: set[Membership | Subscriber] = set()
        self._markers: dict[str, int] = {}
        self._newest: EntryId = (0, 0)
        self._closed = False
        self._log: Final = MemoryEventLog(self._logs, self._groups, self._clock, self._next_id, self.check)

    @property
    def log(self) -> EventLog:
        return self._log

    async def publish(self, events: Sequence[CloudEvent], *, marker: Marker | None = None) -> None:
        await self.check()
        marked = _marked(marker.name) if marker else ""
        fit = [(event, encoded(event)) for event in events]  # all are, or none is published
        if marker is not None and marker.after is not None and self._markers.get(marked, 0) != marker.after:
            raise MarkerMoved(marked, marker.after, self._markers.get(marked, 0))
        for event, raw in fit:
            self._log_of(event.topic).append(Kept(self._next_id(), event.tenant, raw))
        if marker is not None:
            least = self._markers.get(marked, 0) if marker.after is None else 0
            self._markers[marked] = max(marker.value, least)
        for group in self._groups.values():
            group.feed()
        for subscription in self._subscriptions:
            subscription.wake()
        self._log.wake()

    async def marker(self, name: str) -> int | None:
        await self.check()
        return self._markers.get(_marked(name))

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        await self.check()
        logs = [self._log_of(name(topic, "topic")) for topic in topics]
        shared = self._groups.get(name(group, "group"))
        if shared is None:
            shared = self._groups[group] = Group(group, self._history, self._clock, self._hooks)
        shared.join(logs)
        worker = Worker(
            group,
            handler,
            policy or ConsumerPolicy(),
            shared.backlog,
            shared,
            clock=self._clock,
            hooks=self._hooks,
            drain=self._drain,
            streams=frozenset(topics) | {stream_again(topic) for topic in topics},
        )
        return self._begin(Membership(worker, shared, frozenset(topics), self._subscriptions.discard))

    async def subscribe(self, topics: Collection[str], handler: Handler) -> Subscription:
        await self.check()
        cursor = Cursor([(log := self._log_of(name(topic, "topic")), log.next) for topic in topics])
        return self._begin(
            Subscriber(
                cursor,
                handler,
                clock=self._clock,
                hooks=self._hooks,
                drain=self._drain,
                forget=self._subscriptions.discard,
            )
        )

    async def dead_letters(self, group: str, *, limit: int = 100) -> list[DeadLetter]:
        return await self._log.dead_letters(group, limit=limit)

    def subscriber_count(self) -> int:
        return len(self._subscriptions)

    async def check(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed", retryable=False)

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.gather(*(subscription.aclose() for subscription in tuple(self._subscriptions)))

    def _log_of(self, topic: str) -> Log:
        return self._logs.setdefault(topic, Log(topic, self._history))

    def _next_id(self) -> EntryId:
        """Milliseconds that never fall, and a number that always grows."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        self._newest = max(milliseconds, self._newest[0]), self._newest[1] + 1
        return self._newest

    def _begin(self, subscription: Membership | Subscriber) -> Subscription:
        self._subscriptions.add(subscription)
        subscription.start()
        return subscription


def _marked(text: str) -> str:
    return name(text, "marker")
