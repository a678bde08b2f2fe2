"""Life: one actor from its birth to its end, over all its incarnations.

It is one coroutine in one task: started, at work, judged when it fails, restarted after a wait, gone from memory,
stopped with its children first. Everybody else only leaves a note (`stop`, `passivate`, `escalate`, `resume`) and
interrupts it; it reads the notes between two messages. Refuses to hand out messages (turns.py) and to know who is kin
and who watches (cell.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cortex_core.actors.actor import Actor, ActorContext
from cortex_core.actors.errors import failure_of
from cortex_core.actors.hooks import Failure, Passivated, Started, StopReason, Terminated, log, tell
from cortex_core.actors.supervision import Directive, Restarts
from cortex_core.actors.turns import Failed
from cortex_core.kernel.context import use_context

if TYPE_CHECKING:
    from cortex_core.actors.cell import Cell


@dataclass(frozen=True, slots=True)
class _Restart:
    error: Exception
    delay: float


@dataclass(frozen=True, slots=True)
class _Stop:
    reason: StopReason
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Passivate:
    pass


_End = _Restart | _Stop | _Passivate


class Life:
    """The life of `cell`; `factory` makes its incarnations. `run` returns when there is nothing left to live for."""

    __slots__ = (
        "_actor",
        "_cell",
        "_escalated",
        "_factory",
        "_passivates",
        "_ready",
        "_restarts",
        "_resumes",
        "_stage",
        "_turns",
        "_waited",
        "stops",
    )

    def __init__(self, cell: "Cell", factory: Callable[[], Actor]) -> None:
        self._cell = cell
        self._stage = cell.stage
        self._turns = cell.turns
        self._factory = factory
        self._restarts = Restarts(cell.options.supervision, cell.stage.rng)
        self._actor: Actor | None = None
        self._ready = False
        self._escalated: list[tuple[Cell, Exception]] = []
        self._passivates = False
        self._resumes = False
        self._waited = False
        self.stops: StopReason | None = None

    # --- notes -----------------------------------------------------------------------------------------------------

    def stop(self, reason: StopReason) -> None:
        """It ends after the message at hand. The first reason stands."""
        self.stops = self.stops or reason
        self._turns.interrupt()

    def passivate(self) -> None:
        """It leaves memory after the message at hand."""
        self._passivates = True
        self._turns.interrupt()

    def escalate(self, child: "Cell", error: Exception) -> None:
        """The child waits for what is done about it."""
        self._escalated.append((child, error))
        self._turns.interrupt()

    def resume(self) -> None:
        """What was escalated is forgiven."""
        self._resumes = True
        self._turns.unpark()

    # --- the coroutine ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            try:
                while await self._goes_on():
                    pass
            except asyncio.CancelledError:
                await self._end(_Stop(StopReason.CANCELLED))
                raise
        except BaseException:
            self._cell.terminated(Terminated(self._cell.ref, StopReason.CANCELLED))
            raise

    async def _goes_on(self) -> bool:
        """One incarnation and what comes after it. False: nothing does, for now or for ever."""
        end = await self._incarnation() if self.stops is None else _Stop(self.stops)
        if isinstance(end, _Restart):
            await self._restart(end)
            return True
        if isinstance(end, _Passivate):
            await self._leave()
            tell(self._stage.hooks.on_passivated, Passivated(self._cell.ref))
            return self.stops is not None or not self._cell.rests()
        return await self._end(end)

    async def _incarnation(self) -> _End:
        outcome: Failed | _End | None = await self._start()
        while True:
            if isinstance(outcome, Failed):
                outcome = await self._judged(outcome)
            if outcome is not None:
                return outcome
            outcome = await self._turns.work() or self._noticed()

    async def _start(self) -> Failed | None:
        try:
            with use_context(self._cell.context):
                self._actor = actor = self._made()
                await _settled(actor.started())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the supervision's
            known = _of_its_own(error)
            self._cell.mailbox.fail_asks(known)
            return Failed(known)
        self._turns.serve(actor.receive)
        self._ready = True
        tell(self._stage.hooks.on_started, Started(self._cell.ref, len(self._restarts)))
        return None

    def _made(self) -> Actor:
        actor = self._factory()
        if not isinstance(actor, Actor):
            raise TypeError(f"the factory of {self._cell.ref.address} makes no actors: {actor!r:.100}")
        actor.context = ActorContext(self._cell)
        return actor

    def _noticed(self) -> Failed | _End | None:
        """What the notes say, one at a time, the most urgent first."""
        if self.stops is not None:
            return _Stop(self.stops)
        if self._escalated:
            child, error = self._escalated.pop(0)
            return Failed(error, child)
        self._turns.interrupted = False
        passivates, self._passivates = self._passivates, False
        return _Passivate() if passivates else None

    # --- failure ---------------------------------------------------------------------------------------------------

    async def _judged(self, failed: Failed) -> _End | None:
        """What is done about it; None: the same actor goes on."""
        directive = self._directive(failed.error)
        end = self._restarted(failed.error) if directive is Directive.RESTART else None
        if isinstance(end, _Stop) or (directive is Directive.ESCALATE and self._cell.parent is None):
            directive = Directive.STOP
        self._tell(failed.error, directive, end)
        if directive is Directive.STOP:
            return _Stop(StopReason.FAILED, failed.error)
        if directive is Directive.ESCALATE:
            return await self._suspended(failed.error)
        if directive is Directive.RESUME and failed.child is not None:
            failed.child.life.resume()
        return end

    def _directive(self, error: Exception) -> Directive:
        try:
            directive = Directive(self._cell.options.supervision.decide(error))
        except Exception:  # noqa: BLE001 - who cannot decide has the actor stopped
            log.exception("the supervision of %s could not decide", self._cell.ref.address)
            return Directive.STOP
        if directive is Directive.RESUME and not self._ready:
            return Directive.RESTART  # there is nothing yet that could go on
        return directive

    def _restarted(self, error: Exception) -> _Restart | _Stop:
        delay = self._restarts.next_delay(self._stage.clock.monotonic())
        return _Stop(StopReason.FAILED, error) if delay is None else _Restart(error, delay)

    def _tell(self, error: Exception, directive: Directive, end: _Restart | _Stop | None) -> None:
        delay = end.delay if isinstance(end, _Restart) else 0.0
        hook = self._stage.hooks.on_failure
        if hook is None:
            log.error("actor %s failed: %s", self._cell.ref.address, directive, exc_info=error)
        tell(hook, Failure(self._cell.ref, error, directive, len(self._restarts), delay))

    async def _suspended(self, error: Exception) -> _End | None:
        """Until the parent has been judged, as if it had failed itself."""
        self._resumes = False
        assert self._cell.parent is not None  # noqa: S101 - _judged asked
        self._cell.parent.life.escalate(self._cell, error)
        while not self._resumes and self.stops is None:
            await self._turns.park()
        if self.stops is not None:
            return _Stop(self.stops, error)
        return None if self._ready else self._restarted(error)

    async def _restart(self, restart: _Restart) -> None:
        """The old one leaves; the wait, in which a stop is heard; the mailbox stays, the stash in front of it."""
        self._ready = False
        self._cell.timers.cancel_all()
        actor, self._actor = self._actor, None
        if actor is not None:
            await self._hook("restarting", lambda: actor.restarting(restart.error))
        await self._cell.stop_children()
        self._escalated.clear()
        self._turns.stash.give_back()
        if restart.delay > 0:
            await self._wait(restart.delay)

    async def _wait(self, delay: float) -> None:
        self._waited = False
        alarm = self._stage.clock.call_later(delay, self._wait_is_over)
        try:
            while not self._waited and self.stops is None:
                await self._turns.park()
        finally:
            alarm.cancel()

    def _wait_is_over(self) -> None:
        self._waited = True
        self._turns.unpark()

    # --- leaving ---------------------------------------------------------------------------------------------------

    async def _end(self, stop: _Stop) -> bool:
        """For ever; a virtual actor only for whatever waited before: what comes meanwhile has it live again."""
        self._turns.stash.give_back()
        self._cell.refuses()
        await self._leave()
        self._cell.terminated(Terminated(self._cell.ref, stop.reason, stop.error))
        return False

    async def _leave(self) -> None:
        self._ready = False
        self._cell.timers.cancel_all()
        await self._cell.stop_children()
        self._escalated.clear()
        actor, self._actor = self._actor, None
        if actor is not None:
            await self._hook("stopped", actor.stopped)
        self._turns.stash.give_back()

    async def _hook(self, name: str, hook: Callable[[], Any]) -> None:
        """What a last hook raises is logged: nobody is left whom it could fail."""
        try:
            with use_context(self._cell.context):
                await _settled(hook())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - logged
            _of_its_own(error)
            log.exception("%s of actor %s failed", name, self._cell.ref.address)


async def _settled(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result


def _of_its_own(error: BaseException) -> Exception:
    """`error` as an Exception. Raises it again where somebody has cancelled the task."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return error if isinstance(error, Exception) else failure_of(error)
