"""The supervisor: starts a hub's processes together, watches them, and ends them in order.

Promises: no process outlives it; told to stop, all have ended within five seconds; a service that dies by itself is
told of with its last lines, and the rest is stopped (or, with `restart`, it is started again, later each time). What
the services stand on, Redis and the helpers, is always started again: services are built to wait for it.
Refuses to know how things look: that is `screen`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cortex_cli.backoff import Backoff
from cortex_cli.child import Child, describe_end, keep_bounded, turn_over
from cortex_cli.logs import Line, tail
from cortex_cli.plan import Program
from cortex_cli.state import Identity, Member, Phase, Record, State

_POLL: Final = 0.1  # seconds between two questions to a process that is not ready
_TENDING: Final = 5.0  # seconds between two looks at the logs' sizes
_ONE_KEYPRESS: Final = 0.3  # seconds in which two signals are one: `timeout` and `make` pass on what the group also got
_LAST_LINES: Final = 12
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Screen(Protocol):
    """Who is told what happens."""

    def starting(self, members: Sequence[Member], state: State) -> None: ...
    def is_ready(self, member: Member) -> None: ...
    def all_ready(self, members: Sequence[Member], seconds: float) -> None: ...
    def died(self, member: Member, how: str, lines: Sequence[Line], *, again_in: float | None) -> None: ...
    def not_ready(self, member: Member, reason: str, lines: Sequence[Line], within: float) -> None: ...
    def trouble(self, what: str) -> None: ...
    def stopping(self) -> None: ...
    def stopped(self, seconds: float, killed: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Drain:
    """Seconds from the first signal by which each has ended, or is ended. The gateway gets a head start, so that no new
    work reaches services that are on their way out."""

    gateway: float = 1.0
    services: float = 3.6
    helpers: float = 4.0
    redis: float = 4.7


class Supervisor:
    """See the module. `run` once. `timeout` is what the hub may take to be ready, in seconds."""

    def __init__(
        self,
        programs: Sequence[Program],
        state: State,
        screen: Screen,
        *,
        restart: bool = False,
        timeout: float = 60.0,
        drain: Drain | None = None,
        backoff: Backoff | None = None,
        when_ready: Callable[[], None] | None = None,
    ) -> None:
        self._children = [Child(program) for program in programs]
        self._state = state
        self._screen = screen
        self._restart = restart
        self._timeout = timeout
        self._drain_times = drain or Drain()
        self._backoff = backoff or Backoff()
        self._when_ready = when_ready
        self._phase: Phase = "starting"
        self._supervisor = Identity.of(os.getpid())
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._deaths: asyncio.Queue[tuple[Child, int]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._returning: dict[str, asyncio.Task[None]] = {}
        self._broken: BaseException | None = None
        self._told = 0.0

    async def run(self) -> int:
        """The exit status: 0 when told to stop, 1 when something did not start or died. Raises OSError where the state
        folder or a program cannot be used."""
        self._listen_to_signals()
        try:
            status = await self._start() or await self._watch()
        finally:
            await self._end()
        if self._broken is not None:
            raise self._broken
        return status

    # --- starting ---------------------------------------------------------------------------------------------------

    async def _start(self) -> int:
        began = time.monotonic()
        self._screen.starting([child.member for child in self._children], self._state)
        for child in self._children:
            turn_over(child.program.log)
            await self._launch(child)
        self._record("starting")

        everybody = asyncio.create_task(_all(self._until_ready(child) for child in self._children))
        death = asyncio.create_task(self._deaths.get())
        stop = asyncio.create_task(self._stop.wait())
        waiting: list[asyncio.Future[Any]] = [everybody, death, stop]
        await asyncio.wait(waiting, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

        if death.done() and not death.cancelled():
            self._tell_of_death(*death.result(), again_in=None)
            return 1
        if self._stop.is_set():
            return 0
        if not everybody.done():
            await self._tell_who_is_late()
            return 1
        everybody.result()
        self._record("ready")
        self._screen.all_ready([child.member for child in self._children], time.monotonic() - began)
        if self._when_ready is not None:
            self._when_ready()
        return 0

    async def _launch(self, child: Child, *, again: bool = False) -> None:
        await child.start(again=again)
        self._spawn(self._report_end(child), f"end of {child.name}")

    async def _report_end(self, child: Child) -> None:
        status = await child.ended()
        await self._deaths.put((child, status))

    async def _until_ready(self, child: Child) -> None:
        while True:
            answer = await child.program.ready()
            if answer.ready:
                break
            await asyncio.sleep(_POLL)
        child.is_ready()
        self._record(self._phase)
        if self._phase == "starting":
            self._screen.is_ready(child.member)

    async def _tell_who_is_late(self) -> None:
        for child in self._children:
            answer = await child.program.ready()
            if not answer.ready:
                lines = tail(child.program.log, child.name, _LAST_LINES)
                self._screen.not_ready(child.member, answer.reason, lines, self._timeout)

    # --- watching ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> int:
        """Until told to stop (0) or a service has died that is not started again (1)."""
        self._spawn(self._tend(), "logs")
        stop = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            death = asyncio.create_task(self._deaths.get())
            await asyncio.wait({death, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not death.done():
                death.cancel()
                break
            child, status = death.result()
            if not self._restart and child.program.kind == "service":
                self._tell_of_death(child, status, again_in=None)
                stop.cancel()
                return 1
            self._bring_back(child, status)
        return 0

    def _bring_back(self, child: Child, status: int) -> None:
        if child.name in self._returning:
            self._returning[child.name].cancel()  # it died before it was ready: nobody need ask it any longer
        delay = self._backoff.after(child.name, time.monotonic() - child.started)
        self._tell_of_death(child, status, again_in=delay)
        self._returning[child.name] = self._spawn(self._start_again(child, delay), f"restart of {child.name}")

    async def _start_again(self, child: Child, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._launch(child, again=True)
        self._record(self._phase)
        await self._until_ready(child)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TENDING)
            try:
                for child in self._children:
                    keep_bounded(child.program.log)
            except OSError as error:
                self._screen.trouble(f"the logs cannot be kept small: {error}")

    def _tell_of_death(self, child: Child, status: int, *, again_in: float | None) -> None:
        lines = tail(child.program.log, child.name, _LAST_LINES)
        self._screen.died(child.member, describe_end(status), lines, again_in=again_in)

    # --- ending -----------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Gateway, services, helpers, Redis; whoever is not out in time is killed."""
        began = time.monotonic()
        for task in self._tasks:
            if not task.get_name().startswith("end of"):
                task.cancel()
        if any(child.alive for child in self._children):
            self._screen.stopping()
            self._record("stopping")
        services = [child for child in self._children if child.program.kind == "service"]
        helpers = [child for child in self._children if child.program.kind == "helper"]
        redis = [child for child in self._children if child.program.kind == "redis"]
        times = self._drain_times
        killed = await self._drain(services[:1], began + times.gateway, insist=False)
        killed += await self._drain(services, began + times.services)
        killed += await self._drain(helpers, began + times.helpers)
        killed += await self._drain(redis, began + times.redis)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._state.forget()
        self._screen.stopped(time.monotonic() - began, killed)
        self._deaf_to_signals()

    async def _drain(self, children: Sequence[Child], until: float, *, insist: bool = True) -> list[str]:
        """Asks, waits until then (monotonic), and where it insists, kills. Gives the names of the killed."""
        for child in children:
            child.terminate()
        gone = asyncio.create_task(_all(child.ended() for child in children if child.alive))
        hurry = asyncio.create_task(self._hurry.wait())
        waiting: list[asyncio.Future[Any]] = [gone, hurry]
        await asyncio.wait(waiting, timeout=max(0.0, until - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        if not insist:
            return []
        late = [child for child in children if child.alive]
        for child in late:
            child.kill()
        for child in late:
            await child.ended()
        return [child.name for child in late]

    # --- the rest ---------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # `nohup cortex up`
            loop.add_signal_handler(number, self._signalled)

    def _deaf_to_signals(self) -> None:
        """All is done: a Ctrl-C that comes now should not make a failure of it."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _signalled(self) -> None:
        if not self._stop.is_set():
            self._told = time.monotonic()
            self._stop.set()
        elif time.monotonic() - self._told > _ONE_KEYPRESS:
            self._hurry.set()

    def _record(self, phase: Phase) -> None:
        self._phase = phase
        try:
            self._state.write(Record(self._supervisor, phase, tuple(child.member for child in self._children)))
        except OSError as error:  # a full disk, a deleted folder: no reason to leave processes behind
            self._screen.trouble(f"the hub's record cannot be written: {error}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            self._stop.set()


async def _all(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """A gather that is one task: cancelled as one, and awaited by whoever cares."""
    await asyncio.gather(*works)
