"""The projector: runs a projection, its rebuilds included, in as many processes as one likes.

Owns the loop: wake or poll, give each generation its next events, switch to a rebuilt one when it has caught up, clear
away what was retired. All it knows is in the checkpoints, so that a crash anywhere resumes. An event's effect and the
move of the checkpoint are one transaction, begun by a compare-and-set: of several replicas one wins, and an effect
happens once (test_projector_machine.py; without it two double-count). A generation that fails waits longer and longer
(full jitter) while the others go on: a fixed rebuild overtakes a live one that is stuck.
Next: `applying.py` takes events, `generations.py` begins and switches.
"""

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from cortex_core.eventsourcing.applying import Applied, Applier, Overtaken, Poison, Stuck
from cortex_core.eventsourcing.checkpoints import Checkpoint, Stage
from cortex_core.eventsourcing.errors import CorruptEvent, EventStoreUnavailable
from cortex_core.eventsourcing.generations import Generations
from cortex_core.eventsourcing.projections import (
    OnProgress,
    OnProjectionTrouble,
    Progress,
    Projection,
    ProjectionStatus,
    ProjectionTrouble,
)
from cortex_core.eventsourcing.store import EventStore
from cortex_core.kernel.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Pause:
    attempt: int
    until: float  # monotonic


class Projector(Generic[T]):
    """See the module. `batch` events a transaction; `interval`, `base_delay` and `max_delay` in seconds, `interval`
    being how long events written by other processes may go unnoticed.

    `poison`: what becomes of a generation at an event it cannot take. `stop`: it stays there, for all to see, until
    something is mended. `park`: the event's stream is set aside, at most `park_limit` of them, and the others go on; a
    rebuild gives it another chance. Raises ValueError for arguments out of their bounds.
    """

    def __init__(
        self,
        store: EventStore[T],
        projection: Projection[T],
        *,
        clock: Clock | None = None,
        on_progress: OnProgress | None = None,
        on_trouble: OnProjectionTrouble | None = None,
        interval: float = 1.0,
        batch: int = 256,
        base_delay: float = 0.1,
        max_delay: float = 5.0,
        poison: Poison = "stop",
        park_limit: int = 100,
        rng: random.Random | None = None,
    ) -> None:
        if min(interval, base_delay) <= 0 or max_delay < base_delay or batch < 1 or park_limit < 1:
            raise ValueError(
                "interval, batch, base_delay and park_limit must be positive, max_delay not below base_delay"
            )
        if poison not in {"stop", "park"}:
            raise ValueError(f"poison is stop or park, not {poison!r}")
        if projection.version < 1:
            raise ValueError(f"the version of a projection's logic begins at 1, not {projection.version}")
        self._store = store
        self._projection = projection
        self._clock = clock or SystemClock()
        self._on_progress = on_progress
        self._on_trouble = on_trouble
        self._interval = interval
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._applier = Applier(store, projection, clock=self._clock, batch=batch, poison=poison, park_limit=park_limit)
        self._generations = Generations(store, projection, self._applier, batch)
        self._pauses: dict[int, _Pause] = {}
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._foreign: set[int] = set()  # generations of which it has been said that other code moves them
        self._reached = 0  # a position that the live generation has passed for sure
        self._deaf = False  # whether all there is to do waits after a failure, so that news change nothing

    @property
    def name(self) -> str:
        return self._projection.name

    @property
    def troubled(self) -> bool:
        """Whether a generation waits after a failure."""
        return bool(self._pauses)

    def wake(self) -> None:
        """There is something to do now. Does not shorten a back-off."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        unwatch = self._store.watch(self.wake)
        try:
            while True:
                self._woken.clear()  # before the look: what is appended during it wakes us again
                if not await self.step():
                    await self._idle()
        finally:
            unwatch()

    async def step(self) -> bool:
        """One round: each generation's next events. True where another may find work at once. Raises nothing that
        `on_trouble` is not told instead."""
        if self._is_paused(0):
            return False
        try:
            rows = await self._generations.current()
        except Exception as error:  # noqa: BLE001 - whatever ails the store, the checkpoints wait for it
            self._failed(0, 0, error)
            self._deaf = True
            return False
        self._pauses = {each.generation: pause for each in rows if (pause := self._pauses.get(each.generation))}
        self._deaf = all(self._is_paused(each.generation) for each in rows)
        rows.sort(key=lambda each: each.stage is not Stage.LIVE)  # what is shown comes first
        return any([await self._attend(each) for each in rows])  # a list: every generation has its turn

    async def rebuild(self) -> int:
        """Begins the next generation, whose number is returned. `run`, here or in any replica, builds it from the first
        event on while the live one goes on, and makes it live. Raises RebuildInProgress, EventStoreUnavailable."""
        generation = await self._generations.rebuild()
        self.wake()
        return generation

    async def abandon(self) -> int | None:
        """Gives up the generation that is being built, and returns its number; None where there is none."""
        generation = await self._generations.abandon()
        self.wake()
        return generation

    async def caught_up(self, position: int | None = None, *, within: float, poll: float = 0.05) -> bool:
        """Waits until the live generation has passed `position`, by default the newest event there is now: whoever has
        written and then waits reads what was written. False where it has not, `within` seconds from now. It need not be
        this process that moves it: the checkpoint is asked every `poll` seconds. Raises EventStoreUnavailable."""
        target = await self._store.head() if position is None else position
        end = self._clock.monotonic() + within
        while self._reached < target:
            moved = self._moved
            for each in await self._store.checkpoints.generations(self.name):
                self._note(each.position if each.stage is Stage.LIVE else 0)
            left = end - self._clock.monotonic()
            if self._reached >= target:
                break
            if left <= 0:
                return False
            self.wake()
            await self._either(moved, min(left, poll))
        return True

    async def status(self) -> ProjectionStatus:
        """As the database has it. Raises EventStoreUnavailable."""
        rows = await self._store.checkpoints.generations(self.name)
        parked = {each.generation: await self._store.checkpoints.parked(self.name, each.generation) for each in rows}
        status = ProjectionStatus(self.name, await self._store.head(), 0.0, rows, parked)
        if status.live is not None and status.lag:
            status = replace(status, behind=await self._age_after(status.live.position))
        return status

    async def _attend(self, row: Checkpoint) -> bool:
        """Whether there may be more to do for it at once."""
        if self._is_paused(row.generation):
            return False
        try:
            if row.stage is Stage.RETIRED:
                return await self._generations.clear(row)
            return await self._move_on(row)
        except Overtaken:
            return True
        except Exception as error:  # noqa: BLE001 - told, and tried again: nothing it does may end the loop
            self._failed(row.generation, row.position, error)
            await self._report(row, row.position, 0)
            return False

    async def _move_on(self, row: Checkpoint) -> bool:
        if row.logic != self._projection.version:
            return await self._look_on(row)
        applied = await self._applier.apply_next(row)
        self._went_well(row, applied)
        await self._report(row, applied.position, applied.events)
        if applied.more or row.stage is Stage.LIVE:
            return applied.more
        switched = await self._generations.switch(row.generation)
        if switched:
            self._pauses.clear()  # what the retired one had waited for is past
        return switched

    async def _look_on(self, row: Checkpoint) -> bool:
        """Made by code of another version, which keeps it up for as long as it runs. After a roll-back none does, and
        that must show."""
        if row.stage is Stage.LIVE and row.generation not in self._foreign:
            self._foreign.add(row.generation)
            _log.warning(
                "what %s shows (generation %d) is made by other version %d, and only that moves it; ours is %d",
                *(self.name, row.generation, row.logic, self._projection.version),
            )
        self._went_well(row, await self._applier.look(row))
        await self._report(row, row.position, 0)
        return False

    def _went_well(self, row: Checkpoint, applied: Applied) -> None:
        self._pauses.pop(row.generation, None)
        if row.stage is Stage.LIVE:
            self._note(applied.position)
        if applied.fault is not None:
            self._tell(row.generation, applied.fault, attempt=1, delay=0.0, parked=True)

    def _failed(self, generation: int, position: int, error: Exception) -> None:
        attempt = self._pauses[generation].attempt + 1 if generation in self._pauses else 1
        delay = self._rng.uniform(0.0, min(self._max_delay, self._base_delay * 2.0 ** min(attempt - 1, 64)))
        self._pauses[generation] = _Pause(attempt, self._clock.monotonic() + delay)
        stuck = error if isinstance(error, Stuck) else Stuck(error, None, position)
        self._tell(generation, stuck, attempt=attempt, delay=delay, parked=False)

    def _is_paused(self, generation: int) -> bool:
        pause = self._pauses.get(generation)
        return pause is not None and self._clock.monotonic() < pause.until

    def _tell(self, generation: int, stuck: Stuck, *, attempt: int, delay: float, parked: bool) -> None:
        details = ProjectionTrouble(
            self.name, generation, stuck.position, attempt, delay, stuck.error, stuck.event, parked
        )
        if self._on_trouble is None:
            _log.warning("a projection is in trouble: %s", details.fields())
            return
        try:
            self._on_trouble(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not stop the projection
            _log.exception("a projection's hook failed")

    async def _report(self, row: Checkpoint, position: int, events: int) -> None:
        """Where nobody can be told now, the next round tells."""
        if self._on_progress is None:
            return
        try:
            lag = max(0, await self._store.head() - position)
            behind = await self._age_after(position) if lag else 0.0
            parked = self._applier.count_parked(row.generation)
            self._on_progress(Progress(self.name, row.generation, row.stage, position, lag, behind, events, parked))
        except EventStoreUnavailable as error:
            _log.debug("how far %s is cannot be told: %s", self.name, error)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a projection's hook failed")

    async def _age_after(self, position: int) -> float:
        """How long the first event behind `position` has waited, in seconds; 0 where none can be read yet."""
        try:
            events = await self._store.read_all(after=position, limit=1)
        except CorruptEvent:
            events = await self._store.read_all(after=position - 1, limit=1)  # its neighbour is about as old
        return max(0.0, (self._clock.now() - events[0].time).total_seconds()) if events else 0.0

    def _note(self, position: int) -> None:
        """The live generation has passed this."""
        if position > self._reached:
            self._reached = position
            self._moved.set()
            self._moved = asyncio.Event()

    async def _idle(self) -> None:
        """Until somebody wakes us or a pause ends, at most `interval`: another process may have appended too."""
        now = self._clock.monotonic()
        wait = min([self._interval, *(max(0.0, each.until - now) for each in self._pauses.values())])
        if self._deaf:
            await self._clock.sleep(wait)
        else:
            await self._either(self._woken, wait)

    async def _either(self, event: asyncio.Event, seconds: float) -> None:
        """Until it is set, at most `seconds`."""
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
