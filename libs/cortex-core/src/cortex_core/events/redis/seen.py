"""What a subscriber has seen of a stream: the last entry, and the ids of many before it.

They tell a stream that goes on from one that went back: wiped, or a replica promoted that had not got the newest yet.
Ids alone do not, since the new history may overtake the old one.
"""

from typing import Final

from cortex_core.events.backlog import EntryId
from cortex_core.events.redis.link import BEGINNING, Link, parse_id, raise_first, text_of

REMEMBERED: Final = 1_000


class Seen:
    """See the module. `last` is where reading goes on."""

    def __init__(self, last: EntryId) -> None:
        self.last = last
        self._known: dict[EntryId, None] = {last: None}

    def __contains__(self, entry_id: EntryId) -> bool:
        return entry_id in self._known

    def add(self, entry_id: EntryId) -> None:
        self.last = entry_id
        self._known[entry_id] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def oldest(self) -> EntryId:
        return next(iter(self._known))

    def contradicts(self, entry_id: EntryId, before: EntryId) -> bool:
        """Whether an entry that is not known, and the one that it follows, do not go with what was seen: what comes
        after the oldest id we know was seen, all of it."""
        return entry_id <= self.last and (before == BEGINNING or self.oldest() < entry_id)

    async def compare(self, link: Link, key: str, newest: EntryId) -> None:
        """Looks whether the stream still is the one that was seen, and goes back where it is not: to what both have
        in common, or else to the beginning. Raises BusUnavailable."""
        if self.last == BEGINNING:
            return
        last = text_of(self.last)
        replies = await link.batch([("XRANGE", key, last, last), ("XRANGE", key, "-", "+", "COUNT", 1)])
        raise_first(replies)
        if replies[0] or (replies[1] and parse_id(replies[1][0][0]) > self.last):
            return  # goes on; or goes on further up, where the rest was trimmed
        if await self._shares(link, key):
            self.last = self.oldest()
        elif newest < self.last:
            self.last = BEGINNING
            self._known = {BEGINNING: None}

    async def _shares(self, link: Link, key: str) -> bool:
        """Whether the stream has any of the entries we know."""
        replies = await link.batch([("XRANGE", key, text_of(known), text_of(known)) for known in self._known])
        raise_first(replies)
        return any(replies)
