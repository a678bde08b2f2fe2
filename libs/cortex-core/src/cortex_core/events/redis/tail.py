"""Streams followed without a group: what lies in them from a place on, and what comes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from cortex_core.events.backlog import EntryId
from cortex_core.events.delivery import decoded
from cortex_core.events.log import LogEntry, moment_of
from cortex_core.events.redis.link import BEGINNING, Link, newest, parse_id, text_of
from cortex_core.events.redis.streams import Stream, event_in

PAGE: Final = 100
BLOCK: Final = 1.0  # seconds that Redis waits for news
PATIENCE: Final = 1.5  # seconds for a reply
_HIGHEST: Final = 2**64 - 1


async def following(link: Link, streams: Sequence[Stream], start: EntryId | None) -> AsyncGenerator[LogEntry, None]:
    """From `start` on (included; None: from now on), for ever. Raises BusUnavailable."""
    by_key = {stream.key: stream for stream in streams}
    wire = link.wire()
    try:
        places = await newest(link, list(by_key)) if start is None else dict.fromkeys(by_key, _before(start))
        while True:
            reply = await wire.call(
                *("XREAD", "COUNT", PAGE, "BLOCK", round(BLOCK * 1000)),
                *("STREAMS", *places, *(text_of(place) for place in places.values())),
                within=BLOCK + PATIENCE,
            )
            found: list[tuple[EntryId, Stream, bytes]] = []
            for key, entries in reply or ():
                stream = by_key[key.decode()]
                found += [(parse_id(entry_id), stream, event_in(fields)) for entry_id, fields in entries]
                places[stream.key] = parse_id(entries[-1][0])
            for entry_id, stream, raw in sorted(found, key=lambda one: one[0]):
                yield _seen(stream, entry_id, raw)
            if not found:
                await _come_back(link, places)
    finally:
        await wire.aclose()


async def _come_back(link: Link, places: dict[str, EntryId]) -> None:
    """Where a stream ends before the place in it, it has been wiped: all that comes is new."""
    for key, last in (await newest(link, list(places))).items():
        if last < places[key]:
            places[key] = BEGINNING


def _before(entry_id: EntryId) -> EntryId:
    milliseconds, sequence = entry_id
    if sequence:
        return milliseconds, sequence - 1
    return (milliseconds - 1, _HIGHEST) if milliseconds else BEGINNING


def _seen(stream: Stream, entry_id: EntryId, raw: bytes) -> LogEntry:
    event = decoded(raw)[0]
    return LogEntry(text_of(entry_id), stream.topic, stream.tenant, moment_of(entry_id), event, raw)
