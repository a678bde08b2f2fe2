"""StreamBus: an `EventBus` over what speaks Redis' commands. `cortex_core.events.redis` gives it the real connection.

Owns what is open, and the form of a publication. Next: member.py for groups, subscriber.py for fan-out.
"""

import asyncio
import os
import socket
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from typing import Final, Protocol

from cortex_core.events.bus import ConsumerPolicy, Handler, Marker, Retention, Subscription
from cortex_core.events.envelope import CloudEvent
from cortex_core.events.errors import BusUnavailable, encoded, name
from cortex_core.events.hooks import BusHooks, SafeHooks, Strain, StrainDetails
from cortex_core.events.log import DeadLetter, EventLog
from cortex_core.events.redis.catalogue import Catalogue
from cortex_core.events.redis.commands import Mark
from cortex_core.events.redis.link import Link, raise_first
from cortex_core.events.redis.member import Member
from cortex_core.events.redis.operations import StreamLog
from cortex_core.events.redis.pipe import Dialer
from cortex_core.events.redis.streams import Stream, marker_key, stream_key
from cortex_core.events.redis.subscriber import Subscriber
from cortex_core.events.redis.trimming import Trimmer
from cortex_core.events.redis.writer import Writer
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.ids import new_id

CHECK: Final = 0.8  # seconds: sooner than a probe gives up, so that the probe can say why
HEARING: Final = 2.0  # seconds that subscribe() waits for its connection


class _OwnedLink(Link, Protocol):
    def dialer(self) -> Dialer: ...

    async def aclose(self) -> None: ...


class StreamBus:
    """See `cortex_core.events.redis`."""

    def __init__(
        self,
        link: _OwnedLink,
        *,
        namespace: str,
        consumer: str | None,
        tenants: Sequence[str],
        clock: Clock | None,
        hooks: BusHooks | None,
        max_length: int,
        drain: float,
        retention: Retention | None = None,
    ) -> None:
        if max_length < 1 or not tenants:
            raise ValueError("max_length must be at least 1, and tenants at least one")
        self._link: Final = link
        self._namespace: Final = name(namespace, "namespace")
        self._consumer: Final = consumer or f"{socket.gethostname()}-{os.getpid()}-{new_id('c')[-8:]}"
        self._tenants: Final = tuple(tenants)
        self._clock: Final = clock or SystemClock()
        self._hooks: Final = SafeHooks(hooks)
        self._max_length: Final = max_length
        self._drain: Final = drain
        self._writer: Final = Writer(link.dialer(), max_length=max_length, on_cut=self._cut)
        self._subscriptions: set[Member | Subscriber] = set()
        self._joined = 0
        self._closed = False
        catalogue = Catalogue(link, self._namespace, self._clock)
        self._trimmer: Final = (
            None
            if retention is None
            else Trimmer(
                link, self._namespace, self._consumer, catalogue, retention, clock=self._clock, hooks=self._hooks
            )
        )
        self._log: Final = StreamLog(link, self._namespace, self._tenants, catalogue, self._refuse_when_closed)

    @property
    def log(self) -> EventLog:
        return self._log

    async def publish(self, events: Sequence[CloudEvent], *, marker: Marker | None = None) -> None:
        self._begin()
        if self._writer.is_full():
            await self._writer.enter()
        namespace = self._namespace
        messages = [(stream_key(namespace, event.tenant, event.topic), encoded(event)) for event in events]
        mark = None
        if marker is not None:
            mark = Mark(marker.name, marker_key(namespace, marker.name), marker.value, marker.after)
        await self._writer.write(messages, mark)

    async def marker(self, name: str) -> int | None:
        self._refuse_when_closed()
        replies = await self._link.batch([("GET", marker_key(self._namespace, name))])
        raise_first(replies)
        return None if replies[0] is None else int(replies[0])

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        self._begin()
        self._joined += 1
        member = Member(
            self._link,
            self._streams(topics),
            name(group, "group"),
            f"{self._consumer}.{self._joined}",  # one name, one list of pending entries: memberships never share it
            handler,
            policy or ConsumerPolicy(),
            max_length=self._max_length,
            clock=self._clock,
            hooks=self._hooks,
            drain=self._drain,
            forget=self._subscriptions.discard,
        )
        self._subscriptions.add(member)
        member.start()
        return member

    async def subscribe(self, topics: Collection[str], handler: Handler) -> Subscription:
        """Returns when the subscription stands; while Redis is away, after 2 s at most, and it will stand later."""
        self._refuse_when_closed()
        subscriber = Subscriber(
            self._link,
            self._streams(topics),
            handler,
            clock=self._clock,
            hooks=self._hooks,
            drain=self._drain,
            forget=self._subscriptions.discard,
        )
        self._subscriptions.add(subscriber)
        await subscriber.start(HEARING)
        return subscriber

    async def dead_letters(self, group: str, *, limit: int = 100) -> list[DeadLetter]:
        return await self._log.dead_letters(group, limit=limit)

    def subscriber_count(self) -> int:
        return len(self._subscriptions)

    async def check(self) -> None:
        self._refuse_when_closed()
        try:
            async with asyncio.timeout(CHECK):
                raise_first(await self._link.batch([("PING",)]))
        except TimeoutError as error:
            raise BusUnavailable(f"the bus does not answer within {CHECK} s") from error

    async def aclose(self) -> None:
        self._closed = True
        async with AsyncExitStack() as stack:  # whoever closes us may be cancelled: what is open is closed all the same
            stack.push_async_callback(self._link.aclose)
            stack.push_async_callback(self._writer.aclose)
            if self._trimmer is not None:
                stack.push_async_callback(self._trimmer.aclose)
            await asyncio.gather(*(subscription.aclose() for subscription in tuple(self._subscriptions)))

    def _streams(self, topics: Collection[str]) -> list[Stream]:
        if not topics:
            raise ValueError("no topics to hear")
        return [Stream(self._namespace, tenant, topic) for tenant in self._tenants for topic in sorted(topics)]

    def _begin(self) -> None:
        self._refuse_when_closed()
        if self._trimmer is not None:
            self._trimmer.start()

    def _cut(self, key: str, entries: int) -> None:
        if (stream := Stream.of(key)) is not None:
            self._hooks.on_strain(StrainDetails(stream.topic, stream.tenant, Strain.CUT, entries=entries))

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed", retryable=False)
