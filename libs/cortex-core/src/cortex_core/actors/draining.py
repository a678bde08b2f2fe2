"""Draining: what is there is finished, nothing new comes in, and then everybody stops. Bounded in time."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cortex_core.actors.cell import Cell
from cortex_core.actors.hooks import StopReason
from cortex_core.actors.stage import Stage
from cortex_core.kernel.clock import Clock

GRACE: Final = 1.0  # seconds to stop, and for who does not, to end when cancelled


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain left behind: `left` messages that nobody received, and `interrupted` actors cut off at one."""

    left: int
    interrupted: int


async def drain(stage: Stage, within: float) -> Drained:
    """See ActorSystem.drain."""
    stage.draining = True
    for cell in stage.cells:
        cell.mailbox.narrow()
    await _bounded(stage.clock, within, _all_quiet(stage))
    _tell_of_absent(stage)
    left = sum(cell.waiting for cell in stage.cells)
    await _bounded(stage.clock, GRACE, _stopped([cell for cell in stage.cells if cell.parent is None]))
    tasks = [cell.task for cell in stage.cells if cell.task is not None]
    for task in tasks:
        task.cancel()
    await _bounded(stage.clock, GRACE, _all(tasks))
    _tell_of_absent(stage)  # whom actors watched while they stopped
    return Drained(left, len(tasks))


def _tell_of_absent(stage: Stage) -> None:
    """Who watches virtual actors that are not active hears that they will not be any more."""
    for kind in stage.kinds:
        kind.drained()


async def _all_quiet(stage: Stage) -> None:
    while busy := [cell for cell in stage.cells if cell.busy]:
        for cell in busy:
            await cell.quiet()


async def _stopped(cells: "Sequence[Cell]") -> None:
    ends = [cell.end() for cell in cells]
    for cell in cells:
        cell.stop(StopReason.DRAINED)
    await _all(ends)


async def _all(awaited: "Sequence[asyncio.Future[Any]]") -> None:
    if awaited:
        await asyncio.wait(awaited)


async def _bounded(clock: Clock, seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Until `work` is done, for at most `seconds`; without any, as far as it comes in one step."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    if seconds == 0:
        task.cancel()
    alarm = clock.call_later(seconds, task.cancel)
    try:
        await asyncio.wait([task])
    finally:
        alarm.cancel()
        task.cancel()
