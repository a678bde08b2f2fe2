"""Who is let in, who is turned away, and when a place is free again."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from cortex_compute.adapters.memory import MemoryBudget
from cortex_compute.adapters.processor import Job
from cortex_compute.adapters.threads import ThreadWorkshop
from cortex_compute.domain import (
    Abandoned,
    Bounds,
    Header,
    ImageFormat,
    Operation,
    Overloaded,
    ProcessedImage,
    UnreadableImage,
)
from cortex_core.kernel import use_context
from cortex_core.testing import eventually

HEADER = Header(ImageFormat.PNG, 1, 1)


@dataclass
class Gate:
    """Work that does not end before it is let to. `begun` are the bodies of the jobs that have begun, in order."""

    begun: list[bytes] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    def __call__(self, job: Job) -> ProcessedImage:
        self.begun.append(job.body)
        self.jobs.append(job)
        while not self.open.wait(0.005):
            job.refuse_abandoned()
        if job.body == b"broken":
            raise UnreadableImage("broken")
        return ProcessedImage(job.operation, HEADER.format, 1, 1, 0.25, b"made of " + job.body)


@dataclass
class Watched:
    workshop: ThreadWorkshop
    gate: Gate
    waiting: list[int]
    processed: list[ProcessedImage]
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(Bounds(1000, 100)))

    def start(self, body: bytes) -> "asyncio.Task[ProcessedImage]":
        return asyncio.create_task(
            self.workshop.process(body, HEADER, Operation.GRAYSCALE, room=self.memory.room(), work=1)
        )


Open = Callable[[int, int], Watched]


@pytest.fixture
async def open_workshop() -> AsyncIterator[Open]:
    made: list[Watched] = []

    def opened(workers: int, queue: int) -> Watched:
        gate, waiting, processed = Gate(), list[int](), list[ProcessedImage]()
        workshop = ThreadWorkshop(
            gate, workers=workers, queue=queue, on_waiting=waiting.append, on_processed=processed.append
        )
        made.append(Watched(workshop, gate, waiting, processed))
        return made[-1]

    yield opened
    for each in made:
        each.gate.open.set()
        await each.workshop.aclose()


async def test_a_job_is_done_and_reported(open_workshop: Open) -> None:
    watched = open_workshop(1, 0)
    watched.gate.open.set()

    image = await watched.start(b"one")

    assert image.body == b"made of one"
    await eventually(lambda: watched.processed == [image])


async def test_what_finds_all_busy_and_the_queue_full_is_refused_at_once(open_workshop: Open) -> None:
    watched = open_workshop(2, 1)
    tasks = [watched.start(body) for body in (b"1", b"2", b"3")]
    await eventually(lambda: len(watched.gate.begun) == 2)

    with pytest.raises(Overloaded) as caught:
        await watched.start(b"4")
    with pytest.raises(Overloaded):
        watched.workshop.refuse_when_full()

    assert caught.value.retry_after == 1
    assert watched.waiting[-1] == 1
    watched.gate.open.set()
    assert [(await task).body for task in tasks] == [b"made of 1", b"made of 2", b"made of 3"]
    await eventually(lambda: watched.workshop.jobs == 0)
    assert watched.waiting[-1] == 0
    watched.workshop.refuse_when_full()


async def test_no_more_work_at_once_than_there_are_workers_and_the_first_come_first(open_workshop: Open) -> None:
    watched = open_workshop(1, 5)
    tasks = [watched.start(bytes([number])) for number in range(6)]
    await eventually(lambda: watched.gate.begun)

    assert watched.gate.begun == [b"\0"]
    watched.gate.open.set()
    await asyncio.gather(*tasks)
    assert watched.gate.begun == [bytes([number]) for number in range(6)]


async def test_a_failure_is_the_callers_and_frees_the_place(open_workshop: Open) -> None:
    watched = open_workshop(1, 0)
    watched.gate.open.set()

    with pytest.raises(UnreadableImage):
        await watched.start(b"broken")

    await eventually(lambda: watched.workshop.jobs == 0)
    assert watched.processed == []


async def test_a_caller_who_leaves_the_queue_frees_the_place_and_nothing_is_done(open_workshop: Open) -> None:
    watched = open_workshop(1, 1)
    first, second = watched.start(b"first"), watched.start(b"second")
    await eventually(lambda: watched.gate.begun)

    second.cancel()
    await eventually(lambda: watched.workshop.jobs == 1)

    third = watched.start(b"third")
    watched.gate.open.set()
    assert (await first).body + (await third).body == b"made of firstmade of third"
    assert watched.gate.begun == [b"first", b"third"]


async def test_a_caller_who_leaves_his_work_in_progress_breaks_it_off(open_workshop: Open) -> None:
    watched = open_workshop(1, 0)
    task = watched.start(b"long")
    await eventually(lambda: watched.gate.begun)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.workshop.jobs == 1  # its thread has not noticed yet: the place is not free

    await eventually(lambda: watched.workshop.jobs == 0)
    assert watched.gate.jobs[0].abandoned.is_set()
    assert watched.processed == []


async def test_the_requests_deadline_goes_with_the_job(open_workshop: Open) -> None:
    watched = open_workshop(1, 0)
    watched.gate.open.set()

    with use_context(deadline=123.5):
        await watched.start(b"one")

    assert watched.gate.jobs[0].deadline == 123.5


async def test_closing_breaks_off_what_is_left(open_workshop: Open) -> None:
    watched = open_workshop(1, 3)
    tasks = [watched.start(bytes([number])) for number in range(3)]
    await eventually(lambda: watched.gate.begun and watched.workshop.jobs == 3)

    await asyncio.wait_for(watched.workshop.aclose(), 20)

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], Abandoned)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[1:])
    assert watched.workshop.jobs == 0
