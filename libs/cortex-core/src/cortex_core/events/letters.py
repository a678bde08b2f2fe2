"""All dead letters of a group at once: for `cortex events dead-letters … --all`, and for a service's own `events`."""

from collections.abc import Awaitable, Callable
from typing import Final

from cortex_core.events.log import DeadLetterEmpty, DeadLetterNotFound, EventLog

_PAGE: Final = 200


async def replay_dead_letters(log: EventLog, group: str) -> tuple[int, int]:
    """How many are on their way again, and how many cannot be: of those the log has no event any more. Raises
    BusUnavailable; may be repeated then."""
    return await _each(log, group, log.replay_dead_letter)


async def drop_dead_letters(log: EventLog, group: str) -> int:
    """How many are gone for good. Raises BusUnavailable; may be repeated then."""
    return (await _each(log, group, log.drop_dead_letter))[0]


async def _each(log: EventLog, group: str, act: Callable[[str, str], Awaitable[None]]) -> tuple[int, int]:
    """Those that are there when it begins: one that dies again while we are at it is not taken twice."""
    done = empty = 0
    for entry in await _entries(log, group):
        try:
            await act(group, entry)
        except DeadLetterEmpty:
            empty += 1
        except DeadLetterNotFound:
            continue  # somebody else was at it, too
        else:
            done += 1
    return done, empty


async def _entries(log: EventLog, group: str) -> list[str]:
    entries: list[str] = []
    while letters := await log.dead_letters(group, after=entries[-1] if entries else None, limit=_PAGE):
        entries += [letter.entry for letter in letters]
    return entries
