"""What the verbs of `cortex events` do that is more than one call of the log."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from cortex_cli.refusal import Refusal
from cortex_core.events import BusUnavailable, EventLog, GroupLag, LogEntry
from cortex_core.events.errors import name
from cortex_core.events.letters import drop_dead_letters, replay_dead_letters
from cortex_core.events.log import Place, first_at
from cortex_core.kernel.clock import parse_rfc3339

PAUSE = 1.0  # seconds between attempts to follow a bus that went away


def place(text: str) -> Place:
    """An entry's id as it is; a time as such. Raises Refusal, MalformedPlace."""
    if not any(sign in text for sign in ":T"):
        first_at(text)
        return text
    try:
        moment: datetime = parse_rfc3339(text)
    except ValueError:
        raise Refusal(f"{text!r} is no time like 2026-11-25T12:00:00Z, and no entry like 1732550400000-0") from None
    return moment


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


async def tail(
    log: EventLog, topics: Sequence[str], start: str | None, count: int | None, show: Callable[[LogEntry], None]
) -> None:
    """Until `count` were shown, or for ever: a bus that goes away is followed on when it is back."""
    known = await log.topics()
    wanted = [name(topic, "topic") for topic in topics] or known
    if not wanted:
        raise Refusal("the bus has no events yet; name the topics to wait for: `cortex events tail order`")
    since = None if start is None else place(start)
    if unknown := [topic for topic in wanted if topic not in known]:
        sys.stderr.write(f"nothing was published of {', '.join(unknown)} yet; waiting\n")
    shown, seen = 0, set[str]()
    while True:
        try:
            async for entry in log.tail(wanted, start=since):
                key = f"{entry.tenant}/{entry.topic}/{entry.entry}"
                if key in seen:  # shown before the bus went away
                    continue
                seen = {key} if entry.time != since else seen | {key}
                since = entry.time
                show(entry)
                shown += 1
                if shown == count:
                    return
        except BusUnavailable:
            if not shown:
                raise
            await asyncio.sleep(PAUSE)


async def require_group(log: EventLog, group: str) -> list[GroupLag]:
    """What is known of it, by tenant. Raises Refusal where no group is called that."""
    lags = await log.lag(group)
    if not lags:
        raise Refusal(f"no group is called {group}; `cortex events groups` names those there are")
    return lags


async def forget(log: EventLog, group: str, topic: str, *, force: bool) -> None:
    """Raises Refusal where the group lives: its members would make it anew, and be handed everything again."""
    lags = await require_group(log, group)
    members = sum(each.members for lag in lags for each in lag.topics if each.topic == topic)
    if members and not force:
        raise Refusal(f"{group} has {counted(members, 'member')} on {topic}: end them first, or pass --force")
    await log.forget_group(group, topic)


async def replay_letters(log: EventLog, group: str, entry: str | None) -> tuple[int, int]:
    """How many are on their way again, and how many cannot be: their event is gone."""
    if entry is not None:
        await log.replay_dead_letter(group, entry)
        return 1, 0
    return await replay_dead_letters(log, group)


async def drop_letters(log: EventLog, group: str, entry: str | None) -> int:
    if entry is not None:
        await log.drop_dead_letter(group, entry)
        return 1
    return await drop_dead_letters(log, group)
