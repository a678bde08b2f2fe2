"""Group commit: the appends that came while the last commit ran share the next one.

A commit costs the same for one append as for a hundred: the disk has to say that it has it (fsync). So there is one
writer, a task that lives while there is something to write: it takes what has queued up, has it committed, tells each
caller what became of his, and looks again. Nobody waits for company: an append that finds the writer idle goes at once.

Owns the queue, its bounds, and the promise that every caller hears something, once. Refuses to know what a transaction
is (`committing.py`). Group commit: D. Gawlick and D. Kinkade, "Varieties of Concurrency Control in IMS/VS Fast Path"
(1985); P. Helland et al., "Group Commit Timers and High Volume Transaction Systems" (1987).
"""

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, fields
from typing import Final

from cortex_core.eventsourcing.errors import EventStoreUnavailable
from cortex_core.eventsourcing.sql.appending import Append
from cortex_core.eventsourcing.sql.committing import Committer

_MOST_ROWS: Final = 8_192
"""Each may name a stream, which is two values of the look; databases take 32,766 in a statement."""

_SOON: Final = 0.1
"""Seconds until a full queue is worth another try."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What one commit may hold, and how much may wait for one. Raises ValueError.

    `rows` (events and messages, 8,192 at most) and `bytes` (their data and payloads, and 256 for each row) bound a
    group; a single append that is larger than that is a group of its own, and `rows=1` is commit-per-append. `waiting`
    (appends) and `waiting_bytes` bound the queue.
    """

    rows: int = 1_024
    bytes: int = 4 * 1024 * 1024
    waiting: int = 4_096
    waiting_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 1:
                raise ValueError(f"{each.name} must be at least 1")
        if self.rows > _MOST_ROWS:
            raise ValueError(f"rows must be at most {_MOST_ROWS}, not {self.rows}")


@dataclass(slots=True, eq=False)
class _Waiter:
    append: Append
    since: float
    told: "asyncio.Future[None]"


class GroupWriter:
    """See the module. `patience` (seconds) bounds the time in the queue; once a commit has begun its end is awaited."""

    def __init__(self, committer: Committer, limits: GroupLimits, patience: float) -> None:
        self._committer = committer
        self._limits = limits
        self._patience = patience
        self._queue: deque[_Waiter] = deque()
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    async def write(self, append: Append) -> None:
        """Returns when `append` is durable. Raises what its judge, its `also` or the database said to it.

        Cancelled while it waits, it is withdrawn; once its group is under way it stands or falls with that.
        """
        self._admit(append)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(append, loop.time(), loop.create_future())
        self._queue.append(waiter)
        self._bytes += append.size
        if self._writer is None:
            # In a context of its own: the writer works for everybody, and none of its spans is the first caller's.
            self._writer = loop.create_task(self._run(), context=Context())
        if self._alarm is None:
            self._alarm = loop.call_later(self._patience, self._lose_patience)
        try:
            await waiter.told
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    async def close(self) -> None:
        """Those who wait are told that nothing was done; a commit under way is seen through, within `patience`."""
        self._closed = True
        self._fail_waiting("the store was closed")
        if self._alarm is not None:
            self._alarm.cancel()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=self._patience)
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait([self._writer])

    def _admit(self, append: Append) -> None:
        """Raises EventStoreUnavailable."""
        if self._closed:
            raise EventStoreUnavailable("the store was closed", retryable=False, attempted=False)
        if self._queue and (
            len(self._queue) >= self._limits.waiting or self._bytes + append.size > self._limits.waiting_bytes
        ):
            raise EventStoreUnavailable(f"{len(self._queue)} appends wait already", retry_after=_SOON, attempted=False)

    async def _run(self) -> None:
        try:
            while self._queue:
                group = self._next_group()
                if group:
                    await self._commit(group)
                # Whoever was just told may have more: it joins the next group. And others who write get their turn.
                await asyncio.sleep(0)
        finally:
            self._writer = None
            self._fail_waiting("the event loop is ending")

    async def _commit(self, group: list[_Waiter]) -> None:
        try:
            outcomes = await self._committer.commit([waiter.append for waiter in group])
        except BaseException:  # its end, as a rule: nobody may be left waiting
            for waiter in group:
                _tell(waiter, EventStoreUnavailable("the writer was stopped: read to learn what became of it"))
            raise
        for waiter, outcome in zip(group, outcomes, strict=True):
            _tell(waiter, outcome)

    def _next_group(self) -> list[_Waiter]:
        """From the front of the queue, as much as the limits allow. An `also` may look at its stream: what comes to the
        same stream after it, or before it, is another group's.

        Streams are in one order in every group, so that two processes on one PostgreSQL do not each hold what the other
        waits for; within a stream it is first come, first served.
        """
        group: list[_Waiter] = []
        rows = size = 0
        streams: dict[tuple[str, str], bool] = {}
        while self._queue:
            append = self._queue[0].append
            rows += max(1, append.rows)
            size += append.size
            if group and (rows > self._limits.rows or size > self._limits.bytes):
                break
            alone = append.also is not None
            if append.key in streams and (alone or streams[append.key]):
                break
            waiter = self._take()
            if not waiter.told.done():  # else its caller has left
                streams[append.key] = alone
                group.append(waiter)
        group.sort(key=_by_stream)
        return group

    def _take(self) -> _Waiter:
        waiter = self._queue.popleft()
        self._bytes -= waiter.append.size
        return waiter

    def _withdraw(self, waiter: _Waiter) -> None:
        """Who has left takes up no room, unless his group is under way."""
        with suppress(ValueError):
            self._queue.remove(waiter)
            self._bytes -= waiter.append.size

    def _lose_patience(self) -> None:
        """Whoever has waited for too long is told so. The queue is in the order in which they came."""
        loop = asyncio.get_running_loop()
        while self._queue and self._queue[0].since + self._patience <= loop.time():
            _tell(self._take(), EventStoreUnavailable("the database is busy: no turn came in time", attempted=False))
        due = self._queue[0].since + self._patience if self._queue else None
        self._alarm = None if due is None else loop.call_at(due, self._lose_patience)

    def _fail_waiting(self, reason: str) -> None:
        while self._queue:
            _tell(self._take(), EventStoreUnavailable(reason, attempted=False))


def _by_stream(waiter: _Waiter) -> tuple[str, str]:
    return waiter.append.key


def _tell(waiter: _Waiter, outcome: BaseException | None) -> None:
    if waiter.told.done():  # its caller has left
        return
    if outcome is None:
        waiter.told.set_result(None)
    else:
        waiter.told.set_exception(outcome)
