"""The workshop: a fixed number of threads and a queue of fixed length before them.

Owns who is let in: what finds all threads busy and the queue full is refused at once. Codecs and kernels run without
the GIL for most of their time, so threads are workers enough. A place is given back when the work has really ended, not
when its caller has left, and so is the memory that it was given. Refuses to know what the work is.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from cortex_compute.adapters.processor import Job
from cortex_compute.domain import Header, Operation, Overloaded, ProcessedImage
from cortex_compute.ports import Room
from cortex_core.kernel import current

OnWaiting = Callable[[int], None]
OnProcessed = Callable[[ProcessedImage], None]


class ThreadWorkshop:
    """`on_waiting` is told how many jobs wait whenever that changes, `on_processed` each image that was made; both on
    the event loop. Belongs to the loop that makes it."""

    def __init__(
        self,
        work: Callable[[Job], ProcessedImage],
        *,
        workers: int,
        queue: int,
        on_waiting: OnWaiting,
        on_processed: OnProcessed,
    ) -> None:
        self._work = work
        self._workers: Final = workers
        self._places: Final = workers + queue
        self._on_waiting = on_waiting
        self._on_processed = on_processed
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="image")
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(workers)
        self._jobs: set[Job] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._left = asyncio.Event()

    @property
    def jobs(self) -> int:
        """At work or waiting."""
        return len(self._jobs)

    def refuse_when_full(self) -> None:
        if len(self._jobs) >= self._places:
            raise Overloaded

    async def process(
        self, body: bytes, header: Header, operation: Operation, *, room: Room, work: int
    ) -> ProcessedImage:
        self.refuse_when_full()
        job = Job(body, header, operation, current().deadline)
        self._jobs.add(job)
        self._report()
        with self._in_the_queue(job):
            await self._turn(room, work)
        room.begin()
        future = self._executor.submit(self._work, job)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._leave, job, room, done))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            job.abandoned.set()  # what has not begun was cancelled with this task; what has will look here
            raise

    async def aclose(self) -> None:
        """Breaks off what is left, and returns when the last thread is through with its step."""
        for task in self._waiting:
            task.cancel()
        for job in self._jobs:
            job.abandoned.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        while self._jobs:
            self._left.clear()
            await self._left.wait()

    @contextmanager
    def _in_the_queue(self, job: Job) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._waiting.add(task)
        try:
            yield
        except BaseException:
            self._discard(job)
            raise
        finally:
            self._waiting.discard(task)

    async def _turn(self, room: Room, work: int) -> None:
        """A thread first, its memory then: what waits for a thread takes none from those that read their files."""
        await self._free.acquire()
        try:
            await room.take_work(work)
        except BaseException:
            self._free.release()
            raise

    def _leave(self, job: Job, room: Room, done: Future[ProcessedImage]) -> None:
        made = None if done.cancelled() or done.exception() is not None else done.result()
        room.end(len(made.body) if made is not None else 0)
        self._free.release()
        self._discard(job)
        if made is not None:
            self._on_processed(made)

    def _discard(self, job: Job) -> None:
        self._jobs.discard(job)
        self._left.set()
        self._report()

    def _report(self) -> None:
        self._on_waiting(max(0, len(self._jobs) - self._workers))
