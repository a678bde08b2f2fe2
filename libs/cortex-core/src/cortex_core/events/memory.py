"""The bus within one process: the same promises as the Redis bus, kept without Redis. Standard library only.

For tests, and for a program that is one process. What is published lives as long as the bus object does. A topic keeps
its newest `history` events; a group that is further behind than that has lost the oldest, as a trimmed stream would.

Ordering: a group handles one subject's events in the order of their publication, also while an earlier one waits for
its retry, and whichever member takes them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from cortex_core.events.backlog import Backlog, Entry
from cortex_core.events.bus import ConsumerPolicy, DeadLetter, Handler, Subscription
from cortex_core.events.delivery import DRAIN, Broadcast, Burial, Worker, decoded
from cortex_core.events.envelope import CloudEvent
from cortex_core.events.errors import BusUnavailable, encoded, name
from cortex_core.events.hooks import BusHooks, GapDetails, SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.kernel.clock import Clock, SystemClock

HOLD: Final = 256  # entries a group takes from the logs ahead of its handlers


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
        self._logs: dict[str, _Log] = {}
        self._groups: dict[str, _Group] = {}
        self._subscriptions: set[_Membership | _Subscriber] = set()
        self._dead: dict[str, deque[DeadLetter]] = {}
        self._published = 0
        self._closed = False

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        await self.check()
        for topic, raw in [(event.topic, encoded(event)) for event in events]:  # all are fit, or none is published
            self._published += 1
            self._log(topic).append(self._published, raw)
        for group in self._groups.values():
            group.feed()
        for subscription in self._subscriptions:
            subscription.wake()

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        await self.check()
        logs = [self._log(name(topic, "topic")) for topic in topics]
        shared = self._groups.get(name(group, "group"))
        if shared is None:
            dead = self._dead.setdefault(group, deque(maxlen=self._history))
            shared = self._groups[group] = _Group(group, dead, self._clock, self._hooks)
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
            streams=frozenset(topics),
        )
        return self._begin(_Membership(worker, self._subscriptions.discard))

    async def subscribe(self, topics: Collection[str], handler: Handler) -> Subscription:
        await self.check()
        cursor = _Cursor([(log := self._log(name(topic, "topic")), log.next) for topic in topics])
        return self._begin(
            _Subscriber(
                cursor,
                handler,
                clock=self._clock,
                hooks=self._hooks,
                drain=self._drain,
                forget=self._subscriptions.discard,
            )
        )

    async def dead_letters(self, group: str, *, limit: int = 100) -> list[DeadLetter]:
        return list(self._dead.get(group, ()))[:limit]

    def subscriber_count(self) -> int:
        return len(self._subscriptions)

    async def check(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed", retryable=False)

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.gather(*(subscription.aclose() for subscription in tuple(self._subscriptions)))

    def _log(self, topic: str) -> "_Log":
        return self._logs.setdefault(topic, _Log(topic, self._history))

    def _begin(self, subscription: "_Membership | _Subscriber") -> Subscription:
        self._subscriptions.add(subscription)
        subscription.start()
        return subscription


class _Log:
    """One topic's newest events, each at its place: 0, 1, 2 …"""

    def __init__(self, topic: str, limit: int) -> None:
        self.topic: Final = topic
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=limit)  # (number of publication over all topics, event)
        self.next = 0

    @property
    def first(self) -> int:
        return self.next - len(self._kept)

    def append(self, number: int, raw: bytes) -> None:
        self._kept.append((number, raw))
        self.next += 1

    def at(self, place: int) -> tuple[int, bytes]:
        return self._kept[place - self.first]


class _Cursor:
    """Reads several logs as one, in the order of publication, from a place in each."""

    def __init__(self, places: Collection[tuple[_Log, int]] = ()) -> None:
        self._places = dict(places)

    def cover(self, log: _Log, place: int) -> None:
        self._places.setdefault(log, place)

    def read(self) -> tuple[Entry, bool] | None:
        """The next entry, and whether some before it were gone already. None at the end."""
        heads = [(log, max(place, log.first)) for log, place in self._places.items() if place < log.next]
        if not heads:
            return None
        log, place = min(heads, key=lambda head: head[0].at(head[1])[0])
        lost = self._places[log] < place
        self._places[log] = place + 1
        number, raw = log.at(place)
        event, error = decoded(raw)
        tenant = event.tenant if event else ""
        return Entry(log.topic, log.topic, tenant, (number, 0), raw, event, error), lost


class _Group:
    """What the members of a group share: where they are, what waits, what is dead. A `Settle`."""

    def __init__(self, group: str, dead: "deque[DeadLetter]", clock: Clock, hooks: SafeHooks) -> None:
        self.backlog: Final = Backlog(clock)
        self._hooks: Final = hooks
        self._name: Final = group
        self._dead: Final = dead
        self._clock: Final = clock
        self._cursor: Final = _Cursor()
        self._buried = 0

    def join(self, logs: Collection[_Log]) -> None:
        for log in logs:
            self._cursor.cover(log, 0)
        self.feed()

    def feed(self) -> None:
        while len(self.backlog) < HOLD and (read := self._cursor.read()) is not None:
            entry, lost = read
            if lost:
                self._hooks.on_gap(GapDetails(entry.topic, entry.tenant, filled=0, lost=True))
            self.backlog.add(entry)

    def ack(self, entry: Entry) -> None:  # noqa: ARG002 - the role's signature
        self.feed()

    def retry(self, entry: Entry) -> None:
        """The backlog has it still."""

    def bury(self, entry: Entry, burial: Burial) -> None:
        self._buried += 1
        letter = DeadLetter(
            entry=f"{self._buried}-0",
            group=self._name,
            event=entry.event,
            raw=entry.raw,
            code=burial.code,
            reason=burial.reason,
            attempts=burial.attempts,
            time=self._clock.now(),
        )
        self._dead.append(letter)
        self.feed()


class _Membership:
    """One member of a group."""

    def __init__(self, worker: Worker, forget: "Callable[[_Membership], None]") -> None:
        self._worker: Final = worker
        self._forget: Final = forget

    def start(self) -> None:
        self._worker.start()

    def wake(self) -> None:
        """The group has been fed already."""

    async def aclose(self) -> None:
        await self._worker.aclose()
        self._forget(self)


class _Subscriber:
    """One fan-out handler, at its own place in the logs: a slow one keeps nobody else waiting."""

    def __init__(
        self,
        cursor: _Cursor,
        handler: Handler,
        *,
        clock: Clock,
        hooks: SafeHooks,
        drain: float,
        forget: "Callable[[_Subscriber], None]",
    ) -> None:
        self._cursor: Final = cursor
        self._drain: Final = drain
        self._broadcast: Final = Broadcast(handler, hooks)
        self._hooks: Final = hooks
        self._forget: Final = forget
        self._news: Final = asyncio.Event()
        self._loop: Final = Loop(self._next, work="subscribe", clock=clock, hooks=hooks)

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._news.set()

    async def aclose(self) -> None:
        await self._loop.aclose(self._drain)
        self._forget(self)

    async def _next(self) -> None:
        read = self._cursor.read()
        if read is None:
            self._news.clear()
            await self._news.wait()
            return
        entry, lost = read
        if lost:
            self._hooks.on_gap(GapDetails(entry.topic, entry.tenant, filled=0, lost=True))
        with self._loop.undisturbed():
            await self._broadcast(entry)
