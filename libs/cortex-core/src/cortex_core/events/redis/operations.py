"""StreamLog: what operators ask, of the bus on Redis.

Owns the form of the answers. A dead letter goes back, and a page of a stream is given again, in one Lua call each: into
`{namespace}:{tenant}:replay:{group}:{topic}`, which the group's members read beside the topic's own stream.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import Any, Final

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
    address,
    first_at,
    last_at,
    moment_of,
    parse_address,
)
from cortex_core.events.redis.catalogue import Catalogue
from cortex_core.events.redis.lags import Lags
from cortex_core.events.redis.link import BEGINNING, Link, newest, parse_id, raise_first, text_of
from cortex_core.events.redis.scripts import FORGET, REPLAY, REPLAY_LETTER
from cortex_core.events.redis.streams import Stream, dead_letters_key, event_in
from cortex_core.events.redis.tail import following
from cortex_core.kernel.clock import parse_rfc3339

PAGE: Final = 50  # entries of a stream given again at once: of 256 KiB at most


class StreamLog:
    """See `EventLog`."""

    def __init__(
        self, link: Link, namespace: str, tenants: Sequence[str], catalogue: Catalogue, check: Callable[[], None]
    ) -> None:
        """`check` raises BusUnavailable when the bus is closed."""
        self._link: Final = link
        self._namespace: Final = namespace
        self._tenants: Final = tuple(sorted(tenants))
        self._catalogue: Final = catalogue
        self._lags: Final = Lags(link, namespace, self._tenants, catalogue)
        self._check: Final = check

    async def topics(self) -> list[str]:
        self._check()
        known = await self._catalogue.read()
        return sorted({stream.topic for stream in known.topics if stream.tenant in self._tenants})

    async def lag(self, group: str | None = None) -> list[GroupLag]:
        self._check()
        return await self._lags.of(None if group is None else name(group, "group"))

    async def dead_letters(self, group: str, *, after: str | None = None, limit: int = 100) -> list[DeadLetter]:
        self._check()
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        tenant_seen, seen = ("", BEGINNING) if after is None else parse_address(after)
        commands = [
            (
                *("XRANGE", dead_letters_key(self._namespace, tenant, group)),
                *(text_of(seen) if tenant > tenant_seen else f"({text_of(seen)}", "+", "COUNT", limit),
            )
            for tenant in self._tenants
        ]
        replies = await self._link.batch(commands)
        raise_first(replies)
        found = [
            (parse_id(entry_id), tenant, fields)
            for tenant, page in zip(self._tenants, replies, strict=True)
            for entry_id, fields in page
        ]
        oldest = sorted(found, key=lambda letter: letter[:2])[:limit]
        return [_letter(group, tenant, entry_id, fields) for entry_id, tenant, fields in oldest]

    async def dead_letter(self, group: str, entry: str) -> DeadLetter:
        self._check()
        key, tenant, entry_id = self._dead(group, entry)
        replies = await self._link.batch([("XRANGE", key, text_of(entry_id), text_of(entry_id))])
        raise_first(replies)
        if not replies[0]:
            raise DeadLetterNotFound(f"{group} has no dead letter {entry}")
        return _letter(group, tenant, entry_id, replies[0][0][1])

    async def replay_dead_letter(self, group: str, entry: str) -> None:
        letter = await self.dead_letter(group, entry)
        if not letter.raw or not letter.topic:
            raise DeadLetterEmpty(f"dead letter {entry} has no event to deliver")
        key, tenant, entry_id = self._dead(group, entry)
        again = Stream(self._namespace, tenant, letter.topic, group).key
        done = await self._link.run(REPLAY_LETTER, [key, again], [text_of(entry_id)])
        if done == 0:
            raise DeadLetterNotFound(f"{group} has no dead letter {entry}")

    async def drop_dead_letter(self, group: str, entry: str) -> None:
        self._check()
        key, _, entry_id = self._dead(group, entry)
        replies = await self._link.batch([("XDEL", key, text_of(entry_id))])
        raise_first(replies)
        if not replies[0]:
            raise DeadLetterNotFound(f"{group} has no dead letter {entry}")

    async def replay(self, topic: str, group: str, *, start: Place = FIRST, end: Place | None = None) -> int:
        self._check()
        first, last = first_at(start), None if end is None else last_at(end)
        streams = [Stream(self._namespace, tenant, topic) for tenant in self._tenants]
        ends = await newest(self._link, [stream.key for stream in streams])  # what comes from now on comes anyway
        counts = [await self._replay(stream, group, first, last or ends[stream.key]) for stream in streams]
        known = [count for count in counts if count is not None]
        if not known:
            raise GroupNotFound(f"no group {group[:60]!r} hears {topic[:60]!r}")
        return sum(known)

    async def forget_group(self, group: str, topic: str) -> None:
        self._check()
        streams = [Stream(self._namespace, tenant, topic) for tenant in self._tenants]
        gone = [await self._link.run(FORGET, [one.key, one.again(group).key], [group]) for one in streams]
        if not any(gone):
            raise GroupNotFound(f"no group {group[:60]!r} hears {topic[:60]!r}")

    async def tail(self, topics: Collection[str], *, start: Place | None = None) -> AsyncGenerator[LogEntry, None]:
        self._check()
        streams = [Stream(self._namespace, tenant, topic) for tenant in self._tenants for topic in sorted(topics)]
        async with aclosing(following(self._link, streams, None if start is None else first_at(start))) as entries:
            async for entry in entries:
                self._check()
                yield entry

    async def _replay(self, stream: Stream, group: str, first: EntryId, last: EntryId) -> int | None:
        """How many of one tenant's; None where the group does not hear it."""
        keys, start = [stream.key, stream.again(group).key], text_of(first)
        count = 0
        while True:
            page = await self._link.run(REPLAY, keys, [group, start, text_of(last), PAGE])
            if page is None:
                return count or None
            count += int(page[0])
            if page[0] < PAGE:
                return count
            start = f"({page[1].decode()}"

    def _dead(self, group: str, entry: str) -> tuple[str, str, EntryId]:
        """Key, tenant, id. Another bus' tenant has no dead letters here."""
        tenant, entry_id = parse_address(entry)
        if tenant not in self._tenants:
            raise DeadLetterNotFound(f"{group} has no dead letter {entry}")
        return dead_letters_key(self._namespace, tenant, group), tenant, entry_id


def _letter(group: str, tenant: str, entry_id: EntryId, fields: Sequence[Any]) -> DeadLetter:
    """Of what somebody else wrote there, what can be read."""
    members = {bytes(key): bytes(value) for key, value in zip(fields[::2], fields[1::2], strict=True)}
    raw = event_in(fields)
    try:
        time = parse_rfc3339(members.get(b"time", b"").decode())
        attempts = int(members.get(b"attempts", b"0"))
    except ValueError:
        time, attempts = moment_of(entry_id), 0
    place = members.get(b"entry", b"").decode(errors="replace").partition(" ")[0]
    stream = Stream.of(place)
    event = decoded(raw)[0]
    return DeadLetter(
        entry=address(tenant, entry_id),
        group=group,
        event=event,
        raw=raw,
        code=members.get(b"code", b"").decode(errors="replace"),
        reason=members.get(b"reason", b"").decode(errors="replace"),
        attempts=attempts,
        time=time,
        topic=stream.topic if stream else event.topic if event else "",
        tenant=tenant,
    )
