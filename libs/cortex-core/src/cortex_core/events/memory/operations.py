"""MemoryEventLog: what operators ask, of the bus within one process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Final

from cortex_core.events.backlog import EntryId
from cortex_core.events.delivery import decoded
from cortex_core.events.errors import name
from cortex_core.events.log import (
    FIRST,
    DeadLetter,
    DeadLetterEmpty,
    DeadLetterNotFound,
    GroupLag,
    GroupNotFound,
    LogEntry,
    Place,
    TopicLag,
    first_at,
    last_at,
    moment_of,
    parse_address,
)
from cortex_core.events.memory.groups import Group
from cortex_core.events.memory.logs import Kept, Log
from cortex_core.kernel.clock import Clock


class MemoryEventLog:
    """See `EventLog`."""

    def __init__(
        self,
        logs: Mapping[str, Log],
        groups: Mapping[str, Group],
        clock: Clock,
        next_id: Callable[[], EntryId],
        check: Callable[[], Awaitable[None]],
    ) -> None:
        self._logs: Final = logs
        self._groups: Final = groups
        self._clock: Final = clock
        self._next_id: Final = next_id
        self._check: Final = check
        self._tails: Final[set[asyncio.Event]] = set()

    def wake(self) -> None:
        """There is news."""
        for tail in self._tails:
            tail.set()

    async def topics(self) -> list[str]:
        await self._check()
        return sorted(topic for topic, log in self._logs.items() if log.next)

    async def lag(self, group: str | None = None) -> list[GroupLag]:
        await self._check()
        named = list(self._groups) if group is None else [group] if self._group(group) else []
        return sorted((lag for each in named for lag in self._lag_of(each)), key=lambda lag: (lag.tenant, lag.group))

    async def dead_letters(self, group: str, *, after: str | None = None, limit: int = 100) -> list[DeadLetter]:
        await self._check()
        seen = (0, 0) if after is None else parse_address(after)[1]
        return [letter for letter in self._dead(group) if parse_address(letter.entry)[1] > seen][:limit]

    async def dead_letter(self, group: str, entry: str) -> DeadLetter:
        await self._check()
        parse_address(entry)
        found = next((letter for letter in self._dead(group) if letter.entry == entry), None)
        if found is None:
            raise DeadLetterNotFound(f"{group} has no dead letter {entry}")
        return found

    async def replay_dead_letter(self, group: str, entry: str) -> None:
        letter = await self.dead_letter(group, entry)
        if not letter.raw:
            raise DeadLetterEmpty(f"dead letter {entry} has no event to deliver")
        self._groups[group].dead.remove(letter)
        self._groups[group].again(letter.topic, Kept(self._next_id(), letter.tenant, letter.raw))

    async def drop_dead_letter(self, group: str, entry: str) -> None:
        letter = await self.dead_letter(group, entry)
        self._groups[group].dead.remove(letter)

    async def replay(self, topic: str, group: str, *, start: Place = FIRST, end: Place | None = None) -> int:
        await self._check()
        known = self._known(group, topic)
        newest = self._next_id() if end is None else last_at(end)
        kept = self._logs[topic].between(first_at(start), newest)
        for one in kept:
            known.again(topic, Kept(self._next_id(), one.tenant, one.raw))
        return len(kept)

    async def forget_group(self, group: str, topic: str) -> None:
        await self._check()
        self._known(group, topic).forget(topic)

    async def tail(self, topics: Collection[str], *, start: Place | None = None) -> AsyncGenerator[LogEntry, None]:
        await self._check()
        news = asyncio.Event()
        self._tails.add(news)
        places = {name(topic, "topic"): self._place(topic, start) for topic in topics}
        try:
            while True:
                fresh = [
                    (kept, log.topic)
                    for topic in places
                    if (log := self._logs.get(topic)) is not None
                    for kept in log.since(places[topic])
                ]
                for topic in places:
                    places[topic] = self._place(topic, None)
                for kept, topic in sorted(fresh, key=lambda found: found[0].id):
                    yield _seen(kept, topic)
                await self._check()
                await news.wait()
                news.clear()
        finally:
            self._tails.discard(news)

    def _place(self, topic: str, start: Place | None) -> int:
        log = self._logs.get(topic)
        if start is None:
            return log.next if log else 0
        first = first_at(start)
        return log.place_of(first) if log else 0

    def _group(self, group: str) -> Group | None:
        return self._groups.get(name(group, "group"))

    def _dead(self, group: str) -> Collection[DeadLetter]:
        known = self._group(group)
        return known.dead if known else ()

    def _known(self, group: str, topic: str) -> Group:
        known, heard = self._group(group), name(topic, "topic")
        if known is None or heard not in known.topics():
            raise GroupNotFound(f"no group {group[:60]!r} hears {topic[:60]!r}")
        return known

    def _lag_of(self, group: str) -> list[GroupLag]:
        known = self._groups[group]
        topics = known.topics()
        held = {topic: (known.waiting(topic), known.pending(topic)) for topic in topics}
        tenants = {kept.tenant for waiting, _ in held.values() for kept in waiting}
        tenants |= {entry.tenant for _, pending in held.values() for entry in pending}
        tenants |= {letter.tenant for letter in known.dead}
        return [
            GroupLag(
                group,
                tenant,
                tuple(self._topic_lag(known, topic, tenant) for topic in topics),
                sum(letter.tenant == tenant for letter in known.dead),
            )
            for tenant in tenants
        ]

    def _topic_lag(self, group: Group, topic: str, tenant: str) -> TopicLag:
        waiting = [kept.id for kept in group.waiting(topic) if kept.tenant == tenant]
        pending = [entry.id for entry in group.pending(topic) if entry.tenant == tenant]
        oldest = min((*waiting, *pending), default=None)
        seconds = 0.0 if oldest is None else (self._clock.now() - moment_of(oldest)).total_seconds()
        members = sum(topic in topics for topics in group.members)
        return TopicLag(topic, len(waiting), len(pending), max(0.0, seconds), members, 0.0 if members else None)


def _seen(kept: Kept, topic: str) -> LogEntry:
    event = decoded(kept.raw)[0]
    return LogEntry(f"{kept.id[0]}-{kept.id[1]}", topic, kept.tenant, moment_of(kept.id), event, kept.raw)
