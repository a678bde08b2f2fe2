"""StreamBus: an `EventBus` over what speaks Redis' commands. `cortex_core.events.redis` gives it the real connection.

Owns what is open, and the form of a publication. Next: member.py for groups, subscriber.py for fan-out.
"""

import asyncio
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from cortex_core.events.bus import ConsumerPolicy, DeadLetter, Handler, Subscription
from cortex_core.events.delivery import decoded
from cortex_core.events.envelope import CloudEvent
from cortex_core.events.errors import BusUnavailable, encoded, name
from cortex_core.events.hooks import BusHooks, SafeHooks
from cortex_core.events.redis.link import Link, Word, raise_first
from cortex_core.events.redis.member import Member
from cortex_core.events.redis.scripts import PUBLISH
from cortex_core.events.redis.streams import Stream, dead_letters_key
from cortex_core.events.redis.subscriber import Subscriber
from cortex_core.kernel.clock import Clock, SystemClock, parse_rfc3339
from cortex_core.kernel.ids import new_id

AT_ONCE: Final = 200  # events, and
BYTES_AT_ONCE: Final = 4 << 20  # in one Lua call: while it runs, Redis serves nobody else
CHECK: Final = 0.8  # seconds: sooner than a probe gives up, so that the probe can say why
HEARING: Final = 2.0  # seconds that subscribe() waits for its connection


class _OwnedLink(Link, Protocol):
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
        self._subscriptions: set[Member | Subscriber] = set()
        self._joined = 0
        self._closed = False

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self._refuse_when_closed()
        messages = [(Stream(self._namespace, event.tenant, event.topic).key, encoded(event)) for event in events]
        for some in _portions(messages):
            keys = list(dict.fromkeys(key for key, _ in some))
            numbers = {key: number for number, key in enumerate(keys, 1)}
            arguments: list[Word] = [self._max_length]
            for key, raw in some:
                arguments += (numbers[key], raw)
            await self._link.run(PUBLISH, keys, arguments)

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        self._refuse_when_closed()
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
        keys = [dead_letters_key(self._namespace, tenant, group) for tenant in self._tenants]
        replies = await self._link.batch([("XRANGE", key, "-", "+", "COUNT", limit) for key in keys])
        raise_first(replies)
        letters = [_letter(group, entry_id, fields) for reply in replies for entry_id, fields in reply]
        return sorted(letters, key=lambda letter: letter.time)[:limit]

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
        await asyncio.gather(*(subscription.aclose() for subscription in tuple(self._subscriptions)))
        await self._link.aclose()

    def _streams(self, topics: Collection[str]) -> list[Stream]:
        if not topics:
            raise ValueError("no topics to hear")
        return [Stream(self._namespace, tenant, topic) for tenant in self._tenants for topic in sorted(topics)]

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed", retryable=False)


def _portions(messages: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """In order, each small enough for one call."""
    portion: list[tuple[str, bytes]] = []
    size = 0
    for message in messages:
        if portion and (len(portion) == AT_ONCE or size + len(message[1]) > BYTES_AT_ONCE):
            yield portion
            portion, size = [], 0
        portion.append(message)
        size += len(message[1])
    if portion:
        yield portion


def _letter(group: str, entry_id: bytes, fields: Sequence[Any]) -> DeadLetter:
    members = dict(zip(fields[::2], fields[1::2], strict=True))
    raw = members[b"event"]
    return DeadLetter(
        entry=entry_id.decode(),
        group=group,
        event=decoded(raw)[0],
        raw=raw,
        code=members[b"code"].decode(),
        reason=members[b"reason"].decode(),
        attempts=int(members[b"attempts"]),
        time=parse_rfc3339(members[b"time"].decode()),
    )
