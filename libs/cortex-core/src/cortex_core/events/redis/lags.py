"""How far groups are behind, put together from what Redis knows of each stream."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cortex_core.events.log import COUNTED, GroupLag, TopicLag
from cortex_core.events.redis.catalogue import Catalogue
from cortex_core.events.redis.link import Link, parse_id, raise_first
from cortex_core.events.redis.scripts import COUNT, LAG
from cortex_core.events.redis.streams import Stream, dead_letters_key

PAGE: Final = 1_000  # entries counted at once: some 1 ms of Redis' time


@dataclass(slots=True)
class _Behind:
    """What is added up of a topic's own stream and of the one for what comes again."""

    waiting: int = 0
    pending: int = 0
    seconds: float = 0.0
    members: int = 0
    idle: float | None = None

    def add(self, other: TopicLag) -> None:
        self.waiting = min(COUNTED, self.waiting + other.waiting)
        self.pending += other.pending
        self.seconds = max(self.seconds, other.seconds)
        self.members = max(self.members, other.members)
        idles = [idle for idle in (self.idle, other.idle) if idle is not None]
        self.idle = min(idles, default=None)


class Lags:
    """See the module."""

    def __init__(self, link: Link, namespace: str, tenants: Sequence[str], catalogue: Catalogue) -> None:
        self._link: Final = link
        self._namespace: Final = namespace
        self._tenants: Final = frozenset(tenants)
        self._catalogue: Final = catalogue

    async def of(self, group: str | None) -> list[GroupLag]:
        """Every group's, or this one's, by tenant and name. Raises BusUnavailable."""
        known = await self._catalogue.known()
        behind: defaultdict[tuple[str, str], defaultdict[str, _Behind]]
        behind = defaultdict(lambda: defaultdict(_Behind))
        for stream in (*known.topics, *known.again):
            if stream.tenant in self._tenants and group in (None, stream.group or group):
                for name, lag in await self._in_stream(stream, group):
                    behind[stream.tenant, name][stream.topic].add(lag)
        for tenant, name in known.dead:  # a group that is gone and has left dead letters is still a group
            if tenant in self._tenants and group in (None, name):
                behind[tenant, name]
        dead = await self._dead_letters(list(behind))
        return [
            GroupLag(
                name, tenant, tuple(_told(topic, sums) for topic, sums in sorted(topics.items())), dead[tenant, name]
            )
            for (tenant, name), topics in sorted(behind.items())
        ]

    async def _in_stream(self, stream: Stream, group: str | None) -> list[tuple[str, TopicLag]]:
        now, groups = await self._link.run(LAG, [stream.key], [group or "", PAGE])
        return [(about[0].decode(), await self._lag(stream, now, about)) for about in groups]

    async def _lag(self, stream: Stream, now: int, about: Sequence[Any]) -> TopicLag:
        _, members, pending, lowest, first, waiting, more, idle = about
        while more and waiting < COUNTED:
            counted, more = await self._link.run(COUNT, [stream.key], [more, PAGE])
            waiting += counted
        oldest = min((parse_id(entry)[0] for entry in (lowest, first) if entry), default=now)
        seconds = max(0, now - oldest) / 1000
        return TopicLag(stream.topic, waiting, pending, seconds, members, None if idle < 0 else idle / 1000)

    async def _dead_letters(self, groups: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        if not groups:
            return {}
        commands = [("XLEN", dead_letters_key(self._namespace, tenant, name)) for tenant, name in groups]
        replies = await self._link.batch(commands)
        raise_first(replies)
        return dict(zip(groups, replies, strict=True))


def _told(topic: str, sums: _Behind) -> TopicLag:
    return TopicLag(topic, sums.waiting, sums.pending, sums.seconds, sums.members, sums.idle)
