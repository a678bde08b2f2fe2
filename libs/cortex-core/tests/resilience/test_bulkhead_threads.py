"""Bulkhead among threads and loops: one queue, the same permits."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from cortex_core.kernel import use_context
from cortex_core.resilience import Bulkhead, BulkheadFull, BulkheadTimeout
from cortex_core.testing import FakeClock, eventually


class Gate:
    """A blocking call that says when it is inside, and ends when it is told to."""

    def __init__(self) -> None:
        self.inside, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.inside.set()
        assert self.open.wait(30)
        return "done"


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(20)


def occupied(bulkhead: Bulkhead, pool: ThreadPoolExecutor) -> tuple[Gate, "Future[str]"]:
    gate = Gate()
    future = pool.submit(bulkhead.execute_sync, gate)
    assert gate.inside.wait(30)
    return gate, future


async def test_a_thread_waits_its_turn(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=None)
    gate, first = occupied(bulkhead, pool)
    second = pool.submit(bulkhead.execute_sync, lambda: "second")
    await eventually(lambda: bulkhead.waiting == 1)

    with pytest.raises(BulkheadFull):
        bulkhead.execute_sync(lambda: "third")
    gate.open.set()

    assert (first.result(30), second.result(30)) == ("done", "second")
    assert bulkhead.permits == 1


def test_a_thread_that_waited_long_enough_leaves(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=0.01)
    gate, first = occupied(bulkhead, pool)

    with pytest.raises(BulkheadTimeout):
        bulkhead.execute_sync(lambda: "never")

    gate.open.set()
    first.result(30)
    assert (bulkhead.permits, bulkhead.waiting) == (1, 0)


def test_a_thread_whose_deadline_has_passed_does_not_wait(pool: ThreadPoolExecutor) -> None:
    clock = FakeClock()
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=None, clock=clock)
    gate, _ = occupied(bulkhead, pool)

    with use_context(deadline=clock.monotonic()), pytest.raises(BulkheadTimeout):
        bulkhead.execute_sync(lambda: "never")

    gate.open.set()


def test_an_interrupted_thread_leaves_the_queue(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    bulkhead = Bulkhead(1, max_queue=1)
    gate, first = occupied(bulkhead, pool)

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cortex_core.resilience.bulkhead.threading.Event", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            bulkhead.execute_sync(lambda: "never")

    assert bulkhead.waiting == 0
    gate.open.set()
    first.result(30)


async def test_a_task_takes_over_from_a_thread(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=None)
    gate, _ = occupied(bulkhead, pool)

    async def answer() -> str:
        return "task"

    task = asyncio.create_task(bulkhead.execute(answer))
    await eventually(lambda: bulkhead.waiting == 1)
    gate.open.set()

    assert await asyncio.wait_for(task, 30) == "task"
    assert bulkhead.permits == 1


async def test_a_thread_takes_over_from_a_task(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=None)
    async with bulkhead:
        future = pool.submit(bulkhead.execute_sync, lambda: "thread")
        await eventually(lambda: bulkhead.waiting == 1)

    assert await asyncio.wrap_future(future) == "thread"


def test_a_loop_that_was_closed_over_its_waiter_gets_no_permit(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(1, max_queue=2, queue_timeout=None)
    gate, first = occupied(bulkhead, pool)

    async def never() -> None:
        raise AssertionError("its loop is closed")

    waiting = bulkhead.execute(never)
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)
    try:
        waiting.send(None)  # a coroutine that waits, and whose loop goes away without cancelling it
    finally:
        asyncio._set_running_loop(None)
    loop.close()
    assert bulkhead.waiting == 1

    gate.open.set()
    first.result(30)

    assert (bulkhead.permits, bulkhead.waiting) == (1, 0)
    waiting.close()
    assert bulkhead.permits == 1  # and it gives back none


class TestRace:
    """A place that comes free between the look at the door and the queue: no other thread has to be that quick here."""

    class Clock(FakeClock):
        bulkhead: Bulkhead | None = None

        def monotonic(self) -> float:
            if self.bulkhead is not None:  # asked for the time on the way to the queue
                bulkhead, self.bulkhead = self.bulkhead, None
                bulkhead.__exit__(None, None, None)
            return super().monotonic()

    @pytest.fixture
    def bulkhead(self) -> Bulkhead:
        clock = self.Clock()
        bulkhead = Bulkhead(1, max_queue=1, clock=clock)
        bulkhead.__enter__()
        clock.bulkhead = bulkhead
        return bulkhead

    async def test_a_task_takes_it(self, bulkhead: Bulkhead) -> None:
        async with bulkhead:
            assert (bulkhead.in_use, bulkhead.waiting) == (1, 0)
        assert bulkhead.permits == 1

    def test_a_thread_takes_it(self, bulkhead: Bulkhead) -> None:
        with bulkhead:
            assert (bulkhead.in_use, bulkhead.waiting) == (1, 0)
        assert bulkhead.permits == 1


def test_threads_and_loops_at_once_conserve_the_permits(pool: ThreadPoolExecutor) -> None:
    bulkhead = Bulkhead(3, max_queue=1_000, queue_timeout=None)
    lock, inside, most, done = threading.Lock(), 0, 0, 0

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside, done
        with lock:
            inside -= 1
            done += 1

    def blocking() -> None:
        enter()
        threading.Event().wait(0.00001)  # lets the others run
        leave()

    async def suspending() -> None:
        enter()
        await asyncio.sleep(0)
        leave()

    def thread() -> None:
        for _ in range(200):
            bulkhead.execute_sync(blocking)

    def loop() -> None:
        async def main() -> None:
            await asyncio.gather(*(bulkhead.execute(suspending) for _ in range(200)))

        asyncio.run(main())

    work: list[Callable[[], None]] = [thread, loop] * 4
    for future in [pool.submit(each) for each in work]:
        future.result(60)

    assert (done, inside) == (1_600, 0)
    assert most <= 3
    assert (bulkhead.permits, bulkhead.waiting) == (3, 0)
