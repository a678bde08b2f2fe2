"""The log as an operator sees it: `bus.log`. Contract: `cortex_core.testing.contracts.bus.EventLogContract`.

Owns the words for looking and for putting right: what waits where, what died and why, and a second delivery to one
group alone. Everything here is one step on the medium, or safe to repeat. Refuses to handle events: that is `consume`.
"""

import re
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cortex_core.events.backlog import EntryId
from cortex_core.events.envelope import CloudEvent
from cortex_core.kernel.errors import CortexError, Kind

Place = str | datetime
"""Where in a log: an entry's id (`1732550400000-0`, or only its milliseconds), or a moment."""

COUNTED: Final = 10_000  # entries that wait, counted one by one where the medium keeps no count
FIRST: Final[Place] = "0"

_ID: Final = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", re.ASCII)
_LAST_OF_ITS_MILLISECOND: Final = 10**15 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DeadLetterNotFound(CortexError):
    """There is no such dead letter (any more): replayed, dropped, or never there."""

    code, kind = "dead-letter.not-found", Kind.NOT_FOUND


class DeadLetterEmpty(CortexError):
    """There is nothing to deliver: the event was cut off before the group had handled it, or never was one."""

    code, kind = "dead-letter.empty", Kind.UNPROCESSABLE


class GroupNotFound(CortexError):
    """No such group has ever heard this topic."""

    code, kind = "event-log.no-such-group", Kind.NOT_FOUND


class MalformedPlace(CortexError):
    """Neither an entry's id nor a moment."""

    code, kind = "event-log.malformed-place", Kind.INVALID


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event where it lies. `event` is None where `raw` is none. `time` is the medium's, not the event's own."""

    entry: str
    topic: str
    tenant: str
    time: datetime
    event: CloudEvent | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a group is behind in one topic of one tenant.

    `waiting` entries have not been delivered (replayed ones among them; from `COUNTED` on it may be more); `pending`
    were, and are not acknowledged. `seconds` is the age of the oldest of both, 0.0 where there is none. `idle` is how
    many seconds ago a member was last heard of; None where there is no member.
    """

    topic: str
    waiting: int
    pending: int
    seconds: float
    members: int
    idle: float | None

    @property
    def entries(self) -> int:
        """All that is not acknowledged."""
        return self.waiting + self.pending


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A group among one tenant's events."""

    group: str
    tenant: str
    topics: tuple[TopicLag, ...]
    dead_letters: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event a group could not take, and why. `entry` is its place among all dead letters of the group."""

    entry: str
    group: str
    event: CloudEvent | None  # None where what came was no event at all: then `raw` is all there is
    raw: bytes
    code: str
    reason: str
    attempts: int
    time: datetime
    topic: str
    tenant: str


class EventLog(Protocol):
    """See the module. Every method is for the tenants its bus was made with; every one raises BusUnavailable, and
    MalformedEvent for a group or topic whose name makes no key."""

    async def topics(self) -> list[str]:
        """Those that have a log, by name."""
        ...

    async def lag(self, group: str | None = None) -> list[GroupLag]:
        """Every group (or this one), by tenant and name."""
        ...

    async def dead_letters(self, group: str, *, after: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """The oldest first, over all tenants. `after` is the `entry` of the last one seen: the next page. Raises
        MalformedPlace."""
        ...

    async def dead_letter(self, group: str, entry: str) -> DeadLetter:
        """Raises DeadLetterNotFound, MalformedPlace."""
        ...

    async def replay_dead_letter(self, group: str, entry: str) -> None:
        """It is a dead letter no more and comes to its group again, as a first attempt; no other group sees it. Both or
        neither happens. Raises DeadLetterNotFound (also where an earlier call, whose answer was lost, has done it),
        DeadLetterEmpty, MalformedPlace."""
        ...

    async def drop_dead_letter(self, group: str, entry: str) -> None:
        """Gone for good. Raises DeadLetterNotFound, MalformedPlace."""
        ...

    async def replay(self, topic: str, group: str, *, start: Place = FIRST, end: Place | None = None) -> int:
        """Delivers what the log has of `topic` from `start` to `end` (both included; default: what is the newest now)
        to `group` again, beside live traffic. Returns how many. Interrupted, it may be repeated: consumers are
        idempotent. Raises GroupNotFound, MalformedPlace."""
        ...

    async def forget_group(self, group: str, topic: str) -> None:
        """The group has no claim on `topic` any more: what it had not handled is not kept for it. Its dead letters
        stay. A member that lives makes the group anew, from the oldest entry. Raises GroupNotFound."""
        ...

    def tail(self, topics: Collection[str], *, start: Place | None = None) -> AsyncGenerator[LogEntry, None]:
        """What is in the log from `start` (included; default: from now on), and what comes, for ever: in order per
        topic and tenant. It is seen, not taken: no group knows. Raises BusUnavailable when the bus goes away: begin
        again with what you saw last. Raises MalformedPlace and MalformedEvent at the first step."""
        ...


def first_at(place: Place) -> EntryId:
    """The lowest id that is at `place`. Raises MalformedPlace."""
    return _read(place, 0)


def last_at(place: Place) -> EntryId:
    """The highest id that is at `place`. Raises MalformedPlace."""
    return _read(place, _LAST_OF_ITS_MILLISECOND)


def moment_of(entry_id: EntryId) -> datetime:
    """When an entry was written."""
    return _EPOCH + timedelta(
        milliseconds=min(entry_id[0], 253_402_300_799_999)
    )  # the year 9999: what a datetime holds


def address(tenant: str, entry_id: EntryId) -> str:
    """A dead letter's place: ids are unique within a tenant."""
    return f"{tenant}/{entry_id[0]}-{entry_id[1]}"


def parse_address(text: str) -> tuple[str, EntryId]:
    """The inverse of `address`. Raises MalformedPlace."""
    tenant, _, entry_id = text.partition("/")
    if not tenant or _ID.fullmatch(entry_id) is None:
        raise MalformedPlace(f"{text[:60]!r} is no dead letter's place, like public/1732550400000-0")
    return tenant, first_at(entry_id)


def _read(place: Place, sequence: int) -> EntryId:
    if isinstance(place, datetime):
        if place.tzinfo is None:
            raise MalformedPlace("a moment needs a UTC offset")
        return max(0, (place - _EPOCH) // timedelta(milliseconds=1)), sequence
    found = _ID.fullmatch(place)
    if found is None:
        raise MalformedPlace(f"{place[:60]!r} is no entry's id, like 1732550400000-0")
    return int(found[1]), sequence if found[2] is None else int(found[2])
