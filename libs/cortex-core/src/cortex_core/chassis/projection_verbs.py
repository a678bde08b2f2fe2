"""`python -m cortex_order.main projections status | rebuild NAME | abandon NAME`: a service's projections, by hand.

`rebuild` works beside a service that is running, and without one: whoever comes first takes the next events. It ends
when the new generation is shown. `cortex projections …` asks the service's module.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.errors import CortexError

if TYPE_CHECKING:
    from cortex_core.eventsourcing import Projection, ProjectionStatus, ProjectionTrouble, Projector

EX_USAGE, EX_UNAVAILABLE, EX_SOFTWARE, EX_TEMPFAIL = 64, 69, 70, 75  # sysexits.h

_POLL: Final = 0.05  # seconds, while somebody else does the work
USAGE: Final = "`projections status`, `projections rebuild NAME`, `projections abandon NAME`"


class _Refused(Exception):
    """Ends the command with `status` and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def run_projections(
    service: str,
    database_url: str,
    projections: "Sequence[Projection[Any]]",
    words: Sequence[str],
    *,
    clock: Clock | None = None,
) -> int:
    """Prints what was done. The exit status: 64 for words it does not know, 69 where the database cannot be reached or
    is not current, 75 where a rebuild is under way already, 70 where one cannot go on."""
    try:
        lines = asyncio.run(_answer(database_url, projections, words, clock or SystemClock()))
    except _Refused as refused:
        return _fail(service, refused.status, str(refused))
    except CortexError as error:
        status = EX_TEMPFAIL if error.code == "projection.rebuild-in-progress" else EX_UNAVAILABLE
        return _fail(service, status, str(error))
    except (OSError, ValueError) as error:
        return _fail(service, EX_UNAVAILABLE, str(error))
    for line in lines:
        print(f"{service}: {line}")  # noqa: T201 - a command's answer
    return 0


def _fail(service: str, status: int, line: str) -> int:
    print(f"{service}: {line}", file=sys.stderr)  # noqa: T201 - a command's answer
    return status


async def _answer(
    database_url: str, projections: "Sequence[Projection[Any]]", words: Sequence[str], clock: Clock
) -> list[str]:
    from cortex_core.eventsourcing import Projector  # late: a service that only serves has no use for any of it
    from cortex_core.eventsourcing.sql import open_event_store

    troubles: dict[str, ProjectionTrouble] = {}

    def remember(details: "ProjectionTrouble", /) -> None:
        troubles[details.projection] = details

    async with open_event_store(database_url, clock=clock, migrate=False) as store:
        known: dict[str, Projector[Any]] = {
            each.name: Projector(store, each, clock=clock, poison="park", on_trouble=remember) for each in projections
        }
        match words:
            case ["status"]:
                return [line for each in known.values() for line in _described(await each.status())]
            case ["rebuild", name]:
                return [await _rebuild(_named(known, name), troubles, clock)]
            case ["abandon", name]:
                return [await _abandon(_named(known, name))]
    raise _Refused(EX_USAGE, f"{' '.join(['projections', *words])!r} is no command; this service knows {USAGE}")


def _named(known: "Mapping[str, Projector[Any]]", name: str) -> "Projector[Any]":
    if name not in known:
        raise _Refused(EX_USAGE, f"there is no projection {name!r}; there is {', '.join(sorted(known)) or 'none'}")
    return known[name]


async def _rebuild(projector: "Projector[Any]", troubles: "Mapping[str, ProjectionTrouble]", clock: Clock) -> str:
    began, generation = time.monotonic(), await projector.rebuild()
    while True:
        more = await projector.step()
        status = await projector.status()
        numbers = [each.generation for each in status.generations]
        if status.live is not None and status.live.generation >= generation and min(numbers) >= generation:
            return f"{projector.name} is shown from generation {generation} after {time.monotonic() - began:.1f} s"
        if generation not in numbers:
            raise _Refused(EX_TEMPFAIL, f"generation {generation} of {projector.name} was abandoned meanwhile")
        trouble = troubles.get(projector.name)
        if trouble is not None and trouble.generation == generation and not (trouble.retryable or trouble.parked):
            raise _Refused(
                EX_SOFTWARE,
                f"generation {generation} of {projector.name} is stuck at position {trouble.position}"
                f" ({trouble.code}); `projections abandon {projector.name}` gives it up",
            )
        if not more:
            await clock.sleep(_POLL)


async def _abandon(projector: "Projector[Any]") -> str:
    generation = await projector.abandon()
    if generation is None:
        return f"nothing of {projector.name} is being built"
    while any(each.generation == generation for each in (await projector.status()).generations):
        await projector.step()
    return f"generation {generation} of {projector.name} is abandoned and cleared away"


def _described(status: "ProjectionStatus") -> list[str]:
    lines = []
    for each in status.generations:
        parked = status.parked.get(each.generation, ())
        lines.append(
            f"{status.projection} generation {each.generation}: {each.stage}, position {each.position} of {status.head}"
            f", logic {each.logic}, {len(parked)} parked"
        )
        lines += [f"  {one.tenant}/{one.stream} at {one.position}: {one.code}: {one.reason}" for one in parked]
    return lines or [f"{status.projection}: never run"]
