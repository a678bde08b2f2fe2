"""Settlements: verdicts on their way to Redis. Many go in one round trip, while the next handlers are at work already.

Owns the promise that a verdict once given is made true, however often Redis goes away in between; until it is, the
entry counts as ours. What a process takes to its grave is delivered again: that is what at-least-once means.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from cortex_core.events.backlog import Entry, Key
from cortex_core.events.delivery import Burial
from cortex_core.events.errors import BusUnavailable
from cortex_core.events.hooks import SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.events.redis.link import Link, Word, raise_first, text_of
from cortex_core.events.redis.scripts import BURY
from cortex_core.events.redis.streams import dead_letters_key
from cortex_core.kernel.clock import Clock, rfc3339

AT_ONCE: Final = 500
TOGETHER: Final = 64  # verdicts that go at once; fewer wait for
GATHERING: Final = 0.002  # seconds: a round trip costs as much as many verdicts, and nobody waits for one
LONGEST_REASON: Final = 2_000  # characters


@dataclass(slots=True)
class _Verdict:
    entry: Entry
    burial: Burial | None = None
    again: bool = False  # the handler asked for another delivery
    time: str = ""
    tried: bool = field(default=False)  # a dead letter that may have been written: its reply was lost


class Settlements:
    """A `Settle` for one consumer of one group."""

    def __init__(
        self, link: Link, namespace: str, group: str, consumer: str, *, max_length: int, clock: Clock, hooks: SafeHooks
    ) -> None:
        self._link: Final = link
        self._namespace: Final = namespace
        self._group: Final = group
        self._consumer: Final = consumer
        self._max_length: Final = max_length
        self._clock: Final = clock
        self._open: dict[Key, _Verdict] = {}
        self._news: Final = asyncio.Event()
        self._many: Final = asyncio.Event()
        self._loop: Final = Loop(self._next, work=f"settle {group}", clock=clock, hooks=hooks)
        self.moved: Final = asyncio.Event()  # an entry has left the backlog

    def start(self) -> None:
        self._loop.start()

    def keys(self) -> frozenset[Key]:
        """Entries whose verdict Redis has not confirmed."""
        return frozenset(self._open)

    def ack(self, entry: Entry) -> None:
        self._add(_Verdict(entry))

    def retry(self, entry: Entry) -> None:
        self._add(_Verdict(entry, again=True))

    def bury(self, entry: Entry, burial: Burial) -> None:
        self._add(_Verdict(entry, burial, time=rfc3339(self._clock.now())))

    async def aclose(self, within: float) -> None:
        """Sends what is open, for at most `within` seconds; the rest will be delivered again. Raises BusUnavailable."""
        await self._loop.aclose()
        try:
            async with asyncio.timeout(within):
                while self._open:
                    await self._flush()
        except TimeoutError as error:
            raise BusUnavailable(f"{len(self._open)} verdicts of {self._group} did not reach Redis") from error

    def _add(self, verdict: _Verdict) -> None:
        self._open[verdict.entry.key] = verdict
        self._news.set()
        if len(self._open) >= TOGETHER:
            self._many.set()
        self.moved.set()

    async def _next(self) -> None:
        if not self._open:
            self._news.clear()
            await self._news.wait()
        if len(self._open) < TOGETHER:
            self._many.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHERING):
                    await self._many.wait()
        await self._flush()

    async def _flush(self) -> None:
        verdicts = list(islice(self._open.values(), AT_ONCE))
        await self._acknowledge([verdict for verdict in verdicts if not verdict.burial and not verdict.again])
        await self._count_retries([verdict for verdict in verdicts if verdict.again])
        for verdict in verdicts:
            if verdict.burial is not None:
                await self._bury(verdict, verdict.burial)

    async def _acknowledge(self, verdicts: list[_Verdict]) -> None:
        streams: defaultdict[str, list[Word]] = defaultdict(list)
        for verdict in verdicts:
            streams[verdict.entry.stream].append(text_of(verdict.entry.id))
        if streams:
            raise_first(await self._link.batch([("XACK", key, self._group, *ids) for key, ids in streams.items()]))
        self._confirm(verdicts)

    async def _count_retries(self, verdicts: list[_Verdict]) -> None:
        """The number of the attempt lives in Redis, so that whoever takes the entry over counts on."""
        commands = [
            (
                *("XCLAIM", verdict.entry.stream, self._group, self._consumer, 0, text_of(verdict.entry.id)),
                *("RETRYCOUNT", verdict.entry.attempt, "JUSTID"),
            )
            for verdict in verdicts
        ]
        if commands:
            await self._link.batch(commands)  # refused: the group is gone, and the count with it
        self._confirm(verdicts)

    async def _bury(self, verdict: _Verdict, burial: Burial) -> None:
        entry = verdict.entry
        fields: list[Word] = [
            *("entry", f"{entry.stream} {text_of(entry.id)}"),
            *("code", burial.code),
            *("reason", burial.reason[:LONGEST_REASON].encode(errors="replace")),  # half a character is a question mark
            *("attempts", burial.attempts),
            *("time", verdict.time),
            *("event", entry.raw),
        ]
        arguments = [self._group, text_of(entry.id), int(verdict.tried), self._max_length, *fields]
        verdict.tried = True
        await self._link.run(
            BURY, [entry.stream, dead_letters_key(self._namespace, entry.tenant, self._group)], arguments
        )
        self._confirm([verdict])

    def _confirm(self, verdicts: list[_Verdict]) -> None:
        for verdict in verdicts:
            if self._open.get(verdict.entry.key) is verdict:  # else a later verdict on the same entry is on its way
                del self._open[verdict.entry.key]
