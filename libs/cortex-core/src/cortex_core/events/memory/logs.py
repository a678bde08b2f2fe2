"""The topics' logs, and a place in several of them at once."""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cortex_core.events.backlog import Entry, EntryId
from cortex_core.events.delivery import decoded


@dataclass(frozen=True, slots=True)
class Kept:
    """What a log keeps. Ids grow over all logs of a bus, in the order of publication."""

    id: EntryId
    tenant: str
    raw: bytes


class Log:
    """The newest events of one topic, each at its place: 0, 1, 2 … `stream` tells a group's own from the topic's."""

    def __init__(self, topic: str, limit: int, stream: str | None = None) -> None:
        self.topic: Final = topic
        self.stream: Final = stream or topic
        self._kept: deque[Kept] = deque(maxlen=limit)
        self.next = 0

    @property
    def first(self) -> int:
        return self.next - len(self._kept)

    def append(self, kept: Kept) -> None:
        self._kept.append(kept)
        self.next += 1

    def at(self, place: int) -> Kept:
        return self._kept[place - self.first]

    def since(self, place: int) -> Iterator[Kept]:
        """What is at `place` and after."""
        return islice(self._kept, max(0, place - self.first), None)

    def between(self, start: EntryId, end: EntryId) -> list[Kept]:
        """Both included."""
        return [kept for kept in self._kept if start <= kept.id <= end]

    def place_of(self, start: EntryId) -> int:
        """Where the first entry that is not before `start` lies."""
        return next((self.first + number for number, kept in enumerate(self._kept) if kept.id >= start), self.next)


class Cursor:
    """Reads several logs as one, in the order of publication, from a place in each."""

    def __init__(self, places: Collection[tuple[Log, int]] = ()) -> None:
        self._places = dict(places)

    def cover(self, log: Log, place: int) -> None:
        self._places.setdefault(log, place)

    def uncover(self, log: Log) -> None:
        self._places.pop(log, None)

    def ahead(self, log: Log) -> Iterator[Kept]:
        """What it has not read of `log`."""
        return log.since(self._places.get(log, log.next))

    def read(self) -> tuple[Entry, bool] | None:
        """The next entry, and whether some before it were gone already. None at the end."""
        heads = [(log, max(place, log.first)) for log, place in self._places.items() if place < log.next]
        if not heads:
            return None
        log, place = min(heads, key=lambda head: head[0].at(head[1]).id)
        lost = self._places[log] < place
        self._places[log] = place + 1
        kept = log.at(place)
        event, error = decoded(kept.raw)
        return Entry(log.stream, log.topic, kept.tenant, kept.id, kept.raw, event, error), lost
