"""Backlog: what a member of a group holds and has not handled yet, and which of it comes next.

Owns the order: entries of one subject form a lane, and a lane's first entry keeps the others waiting, also while it
waits for its retry; lanes do not wait for each other. Refuses to know where entries come from and where they go.
"""

import asyncio
import bisect
import heapq
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from cortex_core.events.envelope import CloudEvent
from cortex_core.kernel.clock import Clock

EntryId = tuple[int, int]
"""A place in a stream; sorts as the stream does, and across the streams of a bus by the time of publication."""

Key = tuple[str, EntryId]

_Name = tuple[str, str]  # of a lane: its stream and its subject


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
    def lane(self) -> _Name:
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

    def __init__(self, clock: Clock, *, low: int = 0) -> None:
        """`low`: with so many entries left it is `hungry` already."""
        self._clock: Final = clock
        self._low: Final = low
        self._lanes: dict[_Name, _Lane] = {}
        self._keys: set[Key] = set()
        self._ready: dict[str, list[tuple[EntryId, _Name]]] = {}  # by stream, as heaps; some are out of date
        self._due: list[tuple[float, _Name]] = []  # a heap of what waits for its retry; likewise
        self._changed: Final = asyncio.Event()
        self.hungry: Final = asyncio.Event()  # little is left, or somebody waits and there is nothing for them

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def keys(self) -> frozenset[Key]:
        return frozenset(self._keys)

    def entries(self) -> list[Entry]:
        return [entry for lane in self._lanes.values() for entry in lane.entries]

    def forget(self, streams: Collection[str]) -> None:
        """What of `streams` is not at work will not be handed out."""
        for name, lane in list(self._lanes.items()):
            if lane.stream in streams:
                kept = lane.entries[:1] if lane.busy else []
                self._keys.difference_update(entry.key for entry in lane.entries[len(kept) :])
                lane.entries[:] = kept
                if not kept:
                    del self._lanes[name]

    def add(self, entry: Entry) -> None:
        """One that is already held is passed over: it has been delivered again while we have it."""
        if entry.key in self._keys:
            return
        self._keys.add(entry.key)
        name = entry.lane
        lane = self._lanes.get(name) or self._lanes.setdefault(name, _Lane(entry.stream))
        begun = 1 if lane.busy or lane.due else 0  # what has been tried stays first, whatever older comes in late
        self._sated()
        bisect.insort(lane.entries, entry, lo=begun, key=_id_of)
        if not begun and lane.entries[0] is entry:
            self._offer(name, lane)
        self._changed.set()

    async def take(self, streams: Collection[str] | None = None) -> Entry:
        """The oldest entry (of `streams`, or all) that may be handled now. Waits for one. Cancelling takes none."""
        while True:
            self._changed.clear()
            entry = self.take_now(streams)
            if entry is not None:
                return entry
            self.hungry.set()
            await self._wait()

    def take_now(self, streams: Collection[str] | None = None) -> Entry | None:
        """The same without waiting; None where there is nothing."""
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            due, name = heapq.heappop(self._due)
            lane = self._lanes.get(name)
            if lane is not None and lane.due == due:
                self._offer(name, lane)
        heaps = [heap for stream, heap in self._ready.items() if not streams or stream in streams]
        first = min((heap for heap in heaps if self._is_good(heap, now)), key=_head, default=None)
        if first is None:
            return None
        lane = self._lanes[heapq.heappop(first)[1]]
        lane.busy, lane.due = True, 0.0
        self._sated()
        return lane.entries[0]

    def done(self, entry: Entry) -> None:
        """Handled, one way or the other: its subject's next one may come."""
        name = entry.lane
        lane = self._lanes[name]
        lane.entries.pop(0)
        lane.busy = False
        self._keys.discard(entry.key)
        if lane.entries:
            self._offer(name, lane)
        else:
            del self._lanes[name]
        if len(self._keys) <= self._low:
            self.hungry.set()
        self._changed.set()

    def retry(self, entry: Entry, delay: float) -> None:
        """`entry` (with its next attempt's number) comes again in `delay` seconds; its subject waits."""
        name = entry.lane
        lane = self._lanes[name]
        lane.entries[0] = entry
        lane.busy, lane.due = False, self._clock.monotonic() + delay
        heapq.heappush(self._due, (lane.due, name))
        self._changed.set()

    def _sated(self) -> None:
        if len(self._keys) > self._low:
            self.hungry.clear()

    def _offer(self, name: _Name, lane: _Lane) -> None:
        heapq.heappush(self._ready.setdefault(lane.stream, []), (lane.entries[0].id, name))

    def _is_good(self, heap: list[tuple[EntryId, _Name]], now: float) -> bool:
        """Whether the heap offers anything, once what is out of date has been taken off its top."""
        while heap:
            entry_id, name = heap[0]
            lane = self._lanes.get(name)
            if lane is not None and not lane.busy and lane.due <= now and lane.entries[0].id == entry_id:
                return True
            heapq.heappop(heap)
        return False

    async def _wait(self) -> None:
        """Until something changed, or a retry is due."""
        if not self._due:
            await self._changed.wait()
            return
        delay = max(0.0, self._due[0][0] - self._clock.monotonic())
        waiters = {asyncio.ensure_future(self._clock.sleep(delay)), asyncio.ensure_future(self._changed.wait())}
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()


def _id_of(entry: Entry) -> EntryId:
    return entry.id


def _head(heap: list[tuple[EntryId, _Name]]) -> tuple[EntryId, _Name]:
    return heap[0]
