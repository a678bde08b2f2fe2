"""Backlog: what a member of a group holds and has not handled yet, and which of it comes next.

Owns the order: entries of one subject form a lane, and a lane's first entry keeps the others waiting, also while it
waits for its retry; lanes do not wait for each other. Refuses to know where entries come from and where they go.
"""

import asyncio
import bisect
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from cortex_core.events.envelope import CloudEvent
from cortex_core.kernel.clock import Clock

EntryId = tuple[int, int]
"""A place in a stream; sorts as the stream does, and across the streams of a bus by the time of publication."""

Key = tuple[str, EntryId]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event at its place in a stream. `event` is None where `raw` is none, and `error` says why.

    `attempt` is the number of the delivery that is due, counted from 1 over all members of the group.
    """

    stream: str
    topic: str
    tenant: str
    id: EntryId
    raw: bytes
    event: CloudEvent | None
    error: Exception | None = None
    attempt: int = 1

    @property
    def key(self) -> Key:
        return self.stream, self.id

    @property
    def lane(self) -> tuple[str, str]:
        return self.stream, self.event.subject if self.event else f"malformed {self.id}"


@dataclass(slots=True)
class _Lane:
    """`entries` by place in the stream. The first is `busy` while it is handled; a retry waits until `due`."""

    stream: str
    entries: list[Entry] = field(default_factory=list)
    busy: bool = False
    due: float = 0.0


class Backlog:
    """See the module. `take` hands out an entry; `done` or `retry` gives it back."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._keys: set[Key] = set()
        self._changed: Final = asyncio.Event()
        self.hungry: Final = asyncio.Event()  # somebody waits in `take`, and there is nothing for them

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def keys(self) -> frozenset[Key]:
        return frozenset(self._keys)

    def add(self, entry: Entry) -> None:
        """One that is already held is passed over: it has been delivered again while we have it."""
        if entry.key in self._keys:
            return
        self._keys.add(entry.key)
        lane = self._lanes.setdefault(entry.lane, _Lane(entry.stream))
        begun = 1 if lane.busy or lane.due else 0  # what has been tried stays first, whatever older comes in late
        self.hungry.clear()
        bisect.insort(lane.entries, entry, lo=begun, key=lambda held: held.id)
        self._changed.set()

    async def take(self, streams: Collection[str] | None = None) -> Entry:
        """The oldest entry (of `streams`, or all) that may be handled now. Waits for one. Cancelling takes none."""
        while True:
            self._changed.clear()
            now = self._clock.monotonic()
            lanes = [lane for lane in self._lanes.values() if not lane.busy and (not streams or lane.stream in streams)]
            ready = [lane for lane in lanes if lane.due <= now]
            if ready:
                first = min(ready, key=lambda lane: lane.entries[0].id)
                first.busy, first.due = True, 0.0
                self.hungry.clear()
                return first.entries[0]
            self.hungry.set()
            await self._wait(min((lane.due for lane in lanes), default=None), now)

    def done(self, entry: Entry) -> None:
        """Handled, one way or the other: its subject's next one may come."""
        lane = self._lanes[entry.lane]
        lane.entries.pop(0)
        lane.busy = False
        self._keys.discard(entry.key)
        if not lane.entries:
            del self._lanes[entry.lane]
        self._changed.set()

    def retry(self, entry: Entry, delay: float) -> None:
        """`entry` (with its next attempt's number) comes again in `delay` seconds; its subject waits."""
        lane = self._lanes[entry.lane]
        lane.entries[0] = entry
        lane.busy, lane.due = False, self._clock.monotonic() + delay
        self._changed.set()

    async def _wait(self, due: float | None, now: float) -> None:
        """Until something changed, or it is `due`."""
        if due is None:
            await self._changed.wait()
            return
        waiters = {asyncio.ensure_future(self._clock.sleep(due - now)), asyncio.ensure_future(self._changed.wait())}
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
