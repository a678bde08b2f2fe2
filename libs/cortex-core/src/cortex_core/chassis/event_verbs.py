"""`python -m cortex_order.main events …`: the bus by hand, in a deployment, where only the hub's containers reach it.
`cortex events` has more, on a machine that has the command line and the bus' URL.

Any service's container will do, for any group: a group whose own service does not start has to be looked at, too.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cortex_core.kernel.errors import CortexError, Kind

if TYPE_CHECKING:
    from cortex_core.chassis.settings import Config
    from cortex_core.events import EventLog, GroupLag

EX_USAGE, EX_UNAVAILABLE = 64, 69  # sysexits.h

_LISTED: Final = 100  # dead letters a page
USAGE: Final = (
    "`events groups [GROUP]`, `events dead-letters list GROUP [--after ENTRY]`,"
    " `events dead-letters replay|drop GROUP ENTRY|--all`"
)


class _Refused(Exception):
    """Ends the command with EX_USAGE and one line."""


def run_events(settings: "Config", words: Sequence[str]) -> int:
    """Prints what was found, a JSON object a line, or what was done. The exit status: 64 for words it does not know and
    for what there is not, 69 where the bus cannot be reached. Nothing asks before it acts."""
    try:
        asyncio.run(_on_the_bus(settings, words))
    except _Refused as refused:
        return _fail(settings.service, EX_USAGE, str(refused))
    except CortexError as error:
        status = EX_UNAVAILABLE if error.kind is Kind.UNAVAILABLE else EX_USAGE
        return _fail(settings.service, status, f"{error.message} ({error.code})")
    return 0


def _fail(service: str, status: int, line: str) -> int:
    print(f"{service}: {line}", file=sys.stderr)  # noqa: T201 - a command's answer
    return status


async def _on_the_bus(settings: "Config", words: Sequence[str]) -> None:
    from cortex_core.events.redis import RedisEventBus  # late: a service that only serves has made its own

    url, tenants = settings.redis_url.get_secret_value(), sorted(settings.tenants)
    bus = RedisEventBus(url, namespace=settings.namespace, tenants=tenants)
    try:
        await _answer(bus.log, words)
    finally:
        await bus.aclose()


async def _answer(log: "EventLog", words: Sequence[str]) -> None:
    match words:
        case ["groups"]:
            _show_groups(await log.lag())
        case ["groups", group]:
            _show_groups(await _require(log, group))
        case ["dead-letters", "list", group]:
            await _list(log, group, None)
        case ["dead-letters", "list", group, "--after", entry]:
            await _list(log, group, entry)
        case ["dead-letters", "replay", group, which]:
            await _replay(log, group, which)
        case ["dead-letters", "drop", group, which]:
            await _drop(log, group, which)
        case _:
            raise _Refused(f"{' '.join(['events', *words])!r} is no command; this service knows {USAGE}")


def _show_groups(lags: "Sequence[GroupLag]") -> None:
    from cortex_core.events.shown import lag_json

    for lag in lags:
        _say(lag_json(lag))


async def _require(log: "EventLog", group: str) -> "list[GroupLag]":
    lags = await log.lag(group)
    if not lags:
        raise _Refused(f"no group is called {group}; `events groups` names those there are")
    return lags


async def _list(log: "EventLog", group: str, after: str | None) -> None:
    from cortex_core.events.shown import letter_json

    letters = await log.dead_letters(group, after=after, limit=_LISTED)
    if not letters:
        await _require(log, group)
    for letter in letters:
        _say(letter_json(letter))
    if len(letters) == _LISTED:
        print(f"there may be more: --after {letters[-1].entry}", file=sys.stderr)  # noqa: T201 - a command's answer


async def _replay(log: "EventLog", group: str, which: str) -> None:
    from cortex_core.events.letters import replay_dead_letters

    done, empty = 1, 0
    if which == "--all":
        await _require(log, group)
        done, empty = await replay_dead_letters(log, group)
    else:
        await log.replay_dead_letter(group, which)
    _say(f"{done} on the way to {group} again")
    if empty:
        _say(f"{empty} left: of those the log has no event any more")


async def _drop(log: "EventLog", group: str, which: str) -> None:
    from cortex_core.events.letters import drop_dead_letters

    done = 1
    if which == "--all":
        await _require(log, group)
        done = await drop_dead_letters(log, group)
    else:
        await log.drop_dead_letter(group, which)
    _say(f"{done} of {group} deleted")


def _say(line: str) -> None:
    print(line)  # noqa: T201 - a command's answer
