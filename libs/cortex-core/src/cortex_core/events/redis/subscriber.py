"""Fan-out: one handler that hears every event of its streams from now on, over a Pub/Sub connection of its own.

Owns the gap: a message names the entry it is and the entry before it. What is not the one expected next, and whatever
came while the connection was gone, is read from the stream, in order and once; also where the stream went back
(seen.py). Refuses to remember: a subscriber that is made anew begins anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from cortex_core.events.backlog import Entry
from cortex_core.events.bus import Handler
from cortex_core.events.delivery import Broadcast
from cortex_core.events.envelope import MalformedEvent
from cortex_core.events.errors import BusUnavailable
from cortex_core.events.hooks import GapDetails, SafeHooks
from cortex_core.events.loops import Loop
from cortex_core.events.redis.link import BEGINNING, Link, Refused, newest, parse_id, text_of
from cortex_core.events.redis.seen import Seen
from cortex_core.events.redis.streams import Stream, event_in
from cortex_core.kernel.clock import Clock

PATIENCE: Final = 1.5  # seconds for a reply
SILENCE: Final = 5.0  # seconds without a message, after which we ask whether anybody is there
PAGE: Final = 200  # entries read from a stream at once


class Subscriber:
    """See the module."""

    def __init__(
        self,
        link: Link,
        streams: Sequence[Stream],
        handler: Handler,
        *,
        clock: Clock,
        hooks: SafeHooks,
        drain: float,
        forget: "Callable[[Subscriber], None]",
    ) -> None:
        self._link: Final = link
        self._streams: Final = {stream.key: stream for stream in streams}
        self._drain: Final = drain
        self._broadcast: Final = Broadcast(handler, hooks)
        self._hooks: Final = hooks
        self._forget: Final = forget
        self._wire: Final = link.wire()
        self._loop: Final = Loop(self._listen, work="subscribe", clock=clock, hooks=hooks)
        self._seen: dict[str, Seen] = {}
        self._gone: frozenset[str] = frozenset()  # streams heard before this connection
        self._awaited: set[str] = set()  # streams whose subscription is not confirmed yet
        self._connected = False
        self._asked = False
        self._begun: Final = asyncio.Event()

    async def start(self, within: float) -> None:
        """Returns when it hears, or after the first attempt has failed, or after `within` seconds."""
        self._loop.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):  # wait_for loses a cancellation that comes with what it waits for
                await self._begun.wait()

    async def aclose(self) -> None:
        try:
            await self._loop.aclose(self._drain)
        finally:
            await self._wire.aclose()
            self._forget(self)

    async def _listen(self) -> None:
        try:
            if not self._connected:
                await self._connect()
            message = await self._wire.receive(PATIENCE if self._asked or self._awaited else SILENCE)
            if message is None:
                return await self._ask()
            self._asked = False
            match message:
                case [b"subscribe", channel, _]:
                    await self._subscribed(self._streams[channel.decode()])
                case [b"message", channel, body]:
                    await self._hear(self._streams[channel.decode()], body)
        except BaseException:
            self._connected = False
            self._begun.set()
            await self._wire.aclose()
            raise

    async def _ask(self) -> None:
        """A connection whose other end has vanished is silent, too."""
        if self._asked:
            raise BusUnavailable("no answer on the subscriber's connection")
        self._asked = True
        await self._wire.send("PING")

    async def _connect(self) -> None:
        self._gone = frozenset(self._seen)
        for key, last in (await newest(self._link, list(self._streams))).items():
            if key in self._seen:
                await self._seen[key].compare(self._link, key, last)
            else:
                self._seen[key] = Seen(last)
        await self._wire.send("SUBSCRIBE", *self._streams)
        self._awaited = set(self._streams)
        self._asked, self._connected = False, True

    async def _subscribed(self, stream: Stream) -> None:
        """From here on nothing is missed: what came before, since we heard last, is read now."""
        filled = await self._fill(stream, "+")
        if filled and stream.key in self._gone:
            self._hooks.on_gap(GapDetails(stream.topic, stream.tenant, filled, lost=False))
        self._awaited.discard(stream.key)
        if not self._awaited:
            self._begun.set()

    async def _hear(self, stream: Stream, body: bytes) -> None:
        try:
            this, before, raw = body.split(b" ", 2)
            entry_id, previous = parse_id(this), parse_id(before)
        except ValueError:  # somebody else's message on our channel: nothing that a stream would have
            error = MalformedEvent(f"no message of a bus: {len(body)} bytes")
            await self._deliver(Entry(stream.key, stream.topic, stream.tenant, BEGINNING, body, None, error))
            return
        seen = self._seen[stream.key]
        if entry_id in seen:
            return  # read from the stream already
        if seen.contradicts(entry_id, previous):
            raise BusUnavailable(f"the stream of {stream.tenant}'s {stream.topic} is not the one that was heard")
        if entry_id <= seen.last:
            return  # read from the stream long ago
        if previous != seen.last:
            filled = await self._fill(stream, f"({this.decode()}")
            lost = seen.last < previous  # not even the stream has what came before this one
            if filled or lost:
                self._hooks.on_gap(GapDetails(stream.topic, stream.tenant, filled, lost))
        if not self._loop.is_closing():
            seen.add(entry_id)
            await self._deliver(stream.entry(entry_id, raw))

    async def _fill(self, stream: Stream, end: str) -> int:
        """Delivers what the stream has after what we have seen, up to `end`. Returns how many that were."""
        filled, seen = 0, self._seen[stream.key]
        while not self._loop.is_closing():
            start = f"({text_of(seen.last)}"
            (page,) = await self._link.batch([("XRANGE", stream.key, start, end, "COUNT", PAGE)])
            if isinstance(page, Refused):
                raise page
            for entry_id, fields in page:
                if self._loop.is_closing():
                    break
                place = parse_id(entry_id)
                known = place in seen
                seen.add(place)
                if not known:
                    await self._deliver(stream.entry(place, event_in(fields)))
                    filled += 1
            if len(page) < PAGE:
                break
        return filled

    async def _deliver(self, entry: Entry) -> None:
        with self._loop.undisturbed():
            await self._broadcast(entry)
