"""One member of a consumer group: fetches entries, hands them to a worker, keeps its claim on them alive.

Owns the pending entries that bear its name: those whose reply was lost are found again, those whose consumer died are
taken over, those not handled at the end are handed back. Everything that asks Redis what is ours happens between two
fetches of one loop, so that a fetch in flight is never taken for a lost one. Next: settlements.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from cortex_core.events.backlog import Backlog, Entry, EntryId
from cortex_core.events.bus import ConsumerPolicy, Handler
from cortex_core.events.delivery import Burial, EventTrimmed, Worker
from cortex_core.events.hooks import BusErrorDetails, DeliveryDetails, Outcome, SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.events.redis.link import Link, Refused, Script, Word, parse_id, raise_first, text_of
from cortex_core.events.redis.scripts import LEASE, LEAVE, SWEEP
from cortex_core.events.redis.settlements import Settlements
from cortex_core.events.redis.streams import Stream, event_in
from cortex_core.kernel.clock import Clock

HELD: Final = 4  # batches: what may be in the backlog, so that some subjects that wait do not stop the others
LISTED: Final = 5_000  # own pending entries looked at, at most
PATIENCE: Final = 1.5  # seconds for a reply
GOODBYE: Final = 2.0  # seconds for the verdicts still open when we leave
HANDED_BACK: Final = 7 * 24 * 3600 * 1000  # milliseconds: idle for longer than anybody's `claim_after`
DEAD_AFTER: Final = 3600.0  # seconds of silence, with nothing pending, after which a consumer's name is forgotten


class Member:
    """See the module. One connection of its own, for the fetches that block."""

    def __init__(
        self,
        link: Link,
        streams: Sequence[Stream],
        group: str,
        consumer: str,
        handler: Handler,
        policy: ConsumerPolicy,
        *,
        max_length: int,
        clock: Clock,
        hooks: SafeHooks,
        drain: float,
        forget: "Callable[[Member], None]",
    ) -> None:
        self._link: Final = link
        self._streams: Final = {stream.key: stream for one in streams for stream in (one, one.again(group))}
        self._group: Final = group
        self._consumer: Final = consumer
        self._policy: Final = policy
        self._hooks: Final = hooks
        self._forget: Final = forget
        self._clock: Final = clock
        self._wire: Final = link.wire()
        self._backlog: Final = Backlog(clock, low=policy.batch // 2)  # handlers need not wait for the next fetch
        namespace = streams[0].namespace
        self._settlements: Final = Settlements(
            link, namespace, group, consumer, max_length=max_length, clock=clock, hooks=hooks
        )
        self._worker: Final = Worker(
            group, handler, policy, self._backlog, self._settlements, clock=clock, hooks=hooks, drain=drain
        )
        self._loop: Final = Loop(self._fetch, work=f"consume {group}", clock=clock, hooks=hooks)
        self._period: Final = min(policy.claim_after / 3, 2.0)
        self._cursors = dict.fromkeys(self._streams, b"0-0")
        self._joined = False
        self._leaving: asyncio.Task[None] | None = None
        self._lease_due = 0.0
        self._sweep_due = 0.0

    def start(self) -> None:
        self._worker.start()
        self._settlements.start()
        self._loop.start()

    async def aclose(self) -> None:
        self._worker.stop()
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name=f"leave {self._group}")
        if not self._worker.is_current():  # a handler that closes its own subscription cannot wait for itself
            await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        try:
            await self._loop.aclose()
            await self._worker.aclose()
            await self._settlements.aclose(GOODBYE)
            await self._link.run(LEAVE, list(self._streams), [self._group, self._consumer, HANDED_BACK])
        except Exception as error:  # noqa: BLE001 - told; what is left is claimed by another, after `claim_after`
            self._hooks.on_error(BusErrorDetails(f"leave {self._group}", error, failures=1, delay=0.0))
        finally:
            await self._wire.aclose()
            self._forget(self)

    async def _fetch(self) -> None:
        try:
            if not self._joined:
                await self._join()
            if self._clock.monotonic() >= self._lease_due:
                await self._keep_lease()
            room = self._room()
            if room <= 0:
                self._settlements.moved.clear()
                await self._wait_for(self._settlements.moved)
            elif not self._backlog.hungry.is_set():  # what we need not yet, another member may
                await self._wait_for(self._backlog.hungry)
            else:
                await self._read(min(room, self._policy.batch))
        except BaseException:
            self._joined = False  # a reply may be lost: what it brought is ours, and has to be found
            await self._wire.aclose()
            raise

    async def _join(self) -> None:
        """Makes the groups where they are not, from the oldest event on, and finds what is ours already."""
        for key in self._streams:
            try:
                await self._wire.call("XGROUP", "CREATE", key, self._group, "0", "MKSTREAM", within=PATIENCE)
            except Refused as error:
                if "BUSYGROUP" not in error.message:  # the group exists: as it should
                    raise
        await self._keep_lease(claim=False)
        self._joined = True

    async def _wait_for(self, event: asyncio.Event) -> None:
        """At most until our claim on what we hold wants renewing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._period):  # wait_for loses a cancellation that comes with the event
                await event.wait()

    def _room(self) -> int:
        return HELD * self._policy.batch - len(self._backlog)

    async def _keep_lease(self, *, claim: bool = True) -> None:
        self._lease_due = self._clock.monotonic() + self._period
        for stream in self._streams.values():
            known = self._backlog.keys() | self._settlements.keys()  # before we ask: what is settled meanwhile is known
            room = max(0, min(self._room(), self._policy.batch)) if claim else 0
            silence = round(self._policy.claim_after * 1000)
            cursor, deleted, listed = await self._run(
                LEASE, stream, self._consumer, silence, self._cursors[stream.key], room, LISTED
            )
            self._cursors[stream.key] = cursor
            for entry_id in deleted:
                self._bury_trimmed(stream, parse_id(entry_id), 0)
            found = [(parse_id(entry_id), deliveries) for entry_id, deliveries in listed]
            await self._take_up(stream, [each for each in found if (stream.key, each[0]) not in known])
        if self._clock.monotonic() >= self._sweep_due:
            self._sweep_due = self._clock.monotonic() + DEAD_AFTER / 2
            for stream in self._streams.values():
                await self._run(SWEEP, stream, round(DEAD_AFTER * 1000))

    async def _take_up(self, stream: Stream, found: Sequence[tuple[EntryId, int]]) -> None:
        """Entries that are ours without our having fetched them: of the dead, or of a fetch whose reply was lost."""
        for start in range(0, len(found), self._policy.batch):
            some = found[start : start + self._policy.batch]
            commands: list[tuple[Word, ...]] = []
            for entry_id, deliveries in some:
                text = text_of(entry_id)
                count = ("RETRYCOUNT", deliveries + 1, "JUSTID")
                commands.append(("XCLAIM", stream.key, self._group, self._consumer, 0, text, *count))
                commands.append(("XRANGE", stream.key, text, text))
            replies = await self._link.batch(commands)
            raise_first(replies)
            for (entry_id, deliveries), kept in zip(some, replies[1::2], strict=True):
                if kept:
                    self._backlog.add(stream.entry(entry_id, event_in(kept[0][1]), deliveries + 1))
                else:
                    self._bury_trimmed(stream, entry_id, deliveries)

    def _bury_trimmed(self, stream: Stream, entry_id: EntryId, deliveries: int) -> None:
        error = EventTrimmed(f"entry {text_of(entry_id)} was trimmed before {self._group} had handled it")
        entry = Entry(stream.key, stream.topic, stream.tenant, entry_id, b"", None, error)
        self._settlements.bury(entry, Burial(error.code, str(error), deliveries))
        self._hooks.on_delivery(DeliveryDetails(stream.topic, self._group, None, Outcome.DEAD, deliveries, 0.0, error))

    async def _run(self, script: Script, stream: Stream, *arguments: Word) -> Any:
        return await self._link.run(script, [stream.key], [self._group, *arguments])

    async def _read(self, count: int) -> None:
        block = self._period
        reply = await self._wire.call(
            *("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, "BLOCK", round(block * 1000)),
            *("STREAMS", *self._streams, *[">"] * len(self._streams)),
            within=block + PATIENCE,
        )
        for key, entries in reply or ():
            stream = self._streams[key.decode()]
            for entry_id, fields in entries:
                self._backlog.add(stream.entry(parse_id(entry_id), event_in(fields)))
