"""Workers: one service as several processes on one listening socket, looked after by a process that does nothing else.

The socket is the parent's, so that a connection which nobody has accepted yet is lost with no worker: it waits for the
next. A worker that dies is started anew (later each time), SIGHUP replaces all of them one after the other, each only
when its successor serves, and SIGTERM drains all: nobody comes next then, so the parent gives up the socket, and once
no worker listens the kernel refuses. A worker whose parent is gone drains too. Refuses to know what a worker does, and
to keep a service alive that could never start: its exit status is then ours.
"""

import contextlib
import itertools
import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cortex_core.chassis.early_signals import TOLD_EARLY, EarlySignals
from cortex_core.observability import Logger

_PAUSE, _LONGEST_PAUSE, _SETTLED = 0.1, 10.0, 10.0  # seconds: before a restart, and how long one must live to be well
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_HUNG: Final = 60.0  # seconds that a worker may take to be ready


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given: a number that no other living worker has, what to call once it serves, a descriptor that
    becomes readable when the parent is gone, and the signals that came since its birth."""

    number: int
    ready: Callable[[], None]
    lifeline: int
    early: EarlySignals


@dataclass(slots=True)
class _Worker:
    pid: int
    number: int
    news: int
    began: float
    ready: bool = False
    replaces: "_Worker | None" = None
    leaving: bool = False


@dataclass(slots=True)
class Workers:
    """`work(place)` is run in each of `count` processes and gives its exit status. `grace`: seconds from SIGTERM until
    what is left is killed. All are called in this, the parent's, process: `on_last` once, when no worker will be
    started any more, before the last ones hear of it; `on_end` with each place that is free again; `on_death` when a
    worker has ended which nobody had told to."""

    count: int
    work: Callable[[Place], int]
    grace: float
    logger: Logger
    on_last: Callable[[], None] = lambda: None
    on_end: Callable[[int], None] = lambda number: None  # noqa: ARG005 - nobody listens
    on_death: Callable[[], None] = lambda: None
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _old: list[_Worker] = field(default_factory=list)  # still to be replaced
    _again: bool = False  # all of them are to be replaced once more
    _due: list[float] = field(default_factory=list)  # when to start one anew, on the monotonic clock
    _pause: float = _PAUSE
    _served: bool = False
    _end: float | None = None
    _status: int = 0
    _lifeline: tuple[int, int] = (-1, -1)
    _wakeup: tuple[int, int] = (-1, -1)

    def run(self, early: Sequence[int] = ()) -> int:
        """Returns when all have ended: 0, or the status of the first that could not start. `early`: signals that came
        before; one that says to end leaves nothing to start."""
        self._lifeline, self._wakeup = os.pipe(), os.pipe()
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        before = {number: signal.signal(number, _noted) for number in _SIGNALS}
        try:
            if self._is_told(early):
                self.logger.info(TOLD_EARLY)
                return 0
            for _ in range(self.count):
                self._start()
            while self._workers or (self._end is None and self._due):
                self._hear(self._wait())
                self._look_after()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in (*self._lifeline, *self._wakeup):
                os.close(descriptor)
        return self._status

    def _start(self, replaces: _Worker | None = None) -> None:
        taken = {worker.number for worker in self._workers.values()}
        number = next(each for each in itertools.count() if each not in taken)
        news, tell = os.pipe()
        early = EarlySignals()
        # Held until the worker has handlers of its own: ours would tell us, by the descriptor it has from us, not it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(news)
                self._become(Place(number, lambda: _tell_and_close(tell), self._lifeline[0], early), before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
        self._workers[pid] = _Worker(pid, number, news, time.monotonic(), replaces=replaces)

    def _become(self, place: Place, unmasked: Iterable[int]) -> None:
        """In the new process. It never returns into what the parent was doing."""
        status = 70  # sysexits.h: something nobody expected
        try:
            signal.set_wakeup_fd(-1)
            place.early.listen()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes tells all of us; the parent decides
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
            os.close(self._lifeline[1])
            others = [worker.news for worker in self._workers.values() if worker.news >= 0]
            for descriptor in (*self._wakeup, *others):
                os.close(descriptor)
            random.seed()  # else all of them would draw the same
            status = self.work(place)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException as error:
            self.logger.exception("a worker failed", error=type(error).__name__)
        finally:
            os._exit(status)

    def _wait(self) -> list[int]:
        """Signals that came, after the next thing that happens or is due."""
        moments = [*self._due, *([self._end] if self._end is not None else [])]
        moments += [worker.began + _HUNG for worker in self._workers.values() if not worker.ready]
        patience = max(0.0, min(moments) - time.monotonic()) if moments else None
        unready = {worker.news: worker for worker in self._workers.values() if worker.news >= 0}
        readable, _, _ = select.select([self._wakeup[0], *unready], [], [], patience)
        for descriptor in readable:
            if descriptor in unready:
                self._news(unready[descriptor])
        with contextlib.suppress(BlockingIOError):
            return list(os.read(self._wakeup[0], 4096))
        return []

    def _news(self, worker: _Worker) -> None:
        said = os.read(worker.news, 1)
        os.close(worker.news)
        worker.news = -1
        if not said:
            return  # it has ended; SIGCHLD tells how
        worker.ready = self._served = True
        self.logger.info("worker ready", worker=worker.number, pid=worker.pid)
        if worker.replaces is not None:
            self._dismiss([worker.replaces])
            worker.replaces = None
            self._replace_next()

    def _hear(self, signals: Iterable[int]) -> None:
        for number in signals:
            if number in (signal.SIGTERM, signal.SIGINT) and self._end is None:
                self._begin_end(number)
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._dismiss(self._workers.values(), number, again=True)
            elif number == signal.SIGHUP and self._end is None:
                self._again = True
                self._replace_next()

    def _is_told(self, early: Sequence[int]) -> bool:
        self._hear(early)
        return self._end is not None

    def _begin_end(self, number: int = signal.SIGTERM) -> None:
        self._end = time.monotonic() + self.grace
        self._due.clear()
        self._old.clear()
        self._again = False
        self.on_last()
        self._dismiss(self._workers.values(), number)

    def _replace_next(self) -> None:
        """One at a time. Who asks for new workers while they are being replaced gets them all anew afterwards."""
        if any(worker.replaces is not None for worker in self._workers.values()):
            return
        self._old = [worker for worker in self._old if worker.pid in self._workers and not worker.leaving]
        if not self._old and self._again:
            self._again = False
            self._old = [worker for worker in self._workers.values() if not worker.leaving]
        if self._old:
            self._start(replaces=self._old.pop(0))

    def _look_after(self) -> None:
        self._reap()
        now = time.monotonic()
        for worker in self._workers.values():
            if (self._end is not None and now >= self._end) or (not worker.ready and now >= worker.began + _HUNG):
                os.kill(worker.pid, signal.SIGKILL)
                worker.began = now  # once is enough
        if self._end is not None and now >= self._end:
            self._end = now + 1.0
        for moment in [moment for moment in self._due if moment <= now]:
            self._due.remove(moment)
            self._start()

    def _reap(self) -> None:
        while self._workers:
            pid, how = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._ended(worker, os.waitstatus_to_exitcode(how))

    def _ended(self, worker: _Worker, status: int) -> None:
        if worker.news >= 0:
            os.close(worker.news)
        self.on_end(worker.number)
        if worker.leaving or self._end is not None:
            return
        if not self._served:  # none of them ever did: there is nothing to keep alive
            self._status = self._status or abs(status) or 1
            self._begin_end()
            return
        self.on_death()
        self.logger.error("a worker died", worker=worker.number, pid=worker.pid, status=status)
        successor = next((other for other in self._workers.values() if other.replaces is worker), None)
        if successor is not None:  # it is on its way
            successor.replaces = None
            self._replace_next()
            return
        if worker.replaces is not None:  # the one before goes on; nothing is replaced by what cannot start
            self._old.clear()
            self._again = False
            return
        settled = worker.ready and time.monotonic() - worker.began > _SETTLED
        self._pause = _PAUSE if settled else min(_LONGEST_PAUSE, 2 * self._pause)
        self._due.append(time.monotonic() + self._pause)

    def _dismiss(self, workers: Iterable[_Worker], number: int = signal.SIGTERM, *, again: bool = False) -> None:
        for worker in workers:
            if worker.pid in self._workers and (again or not worker.leaving):  # one that is gone may be another's pid
                worker.leaving = True
                os.kill(worker.pid, number)


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor has it."""


def _tell_and_close(descriptor: int) -> None:
    os.write(descriptor, b"r")
    os.close(descriptor)
