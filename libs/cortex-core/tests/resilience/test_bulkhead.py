"""Bulkhead: who gets in, who waits, who is refused, and that every place comes back."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from cortex_core.kernel import use_context
from cortex_core.resilience import Bulkhead, BulkheadFull, BulkheadTimeout
from cortex_core.testing import FakeClock


class Work:
    """Calls that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.inside = self.most = 0
        self._gates: dict[str, asyncio.Event] = {}

    async def __call__(self, name: str) -> str:
        self.begun.append(name)
        self.inside += 1
        self.most = max(self.most, self.inside)
        gate = self._gates.setdefault(name, asyncio.Event())
        try:
            await gate.wait()
        finally:
            self.inside -= 1
        return name

    def end(self, name: str) -> None:
        self._gates.setdefault(name, asyncio.Event()).set()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    """A test that waits for what never comes fails: nothing here takes as much as a second."""
    loop = asyncio.get_running_loop()
    bound = loop.call_later(5.0, cancel_all, loop)
    yield Work()
    bound.cancel()
    cancel_all(loop)


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop) - {asyncio.current_task(loop)}:
        task.cancel()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def start(bulkhead: Bulkhead, work: Work, *names: str) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(bulkhead.execute(work, name)) for name in names]


async def test_a_call_inside_its_places_goes_straight_through() -> None:
    bulkhead = Bulkhead(2)

    async def add(one: int, *, other: int) -> tuple[int, int]:
        return one + other, bulkhead.in_use

    assert await bulkhead.execute(add, 1, other=2) == (3, 1)
    assert (bulkhead.in_use, bulkhead.permits, bulkhead.waiting) == (0, 2, 0)


async def test_no_more_than_its_places_are_ever_inside(work: Work) -> None:
    bulkhead = Bulkhead(3, max_queue=10)
    tasks = start(bulkhead, work, *"abcdefgh")
    await settle()
    assert (bulkhead.in_use, bulkhead.permits, bulkhead.waiting) == (3, 0, 5)

    for name in "abcdefgh":
        work.end(name)

    assert await asyncio.gather(*tasks) == list("abcdefgh")
    assert work.most == 3
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)


async def test_who_came_first_is_let_in_first(work: Work) -> None:
    bulkhead = Bulkhead(1, max_queue=3)
    start(bulkhead, work, *"abcd")
    await settle()

    for name in "abc":
        work.end(name)
        await settle()

    assert work.begun == list("abcd")


async def test_nobody_slips_in_while_a_permit_changes_hands(work: Work) -> None:
    bulkhead = Bulkhead(1, max_queue=1)
    first, _ = start(bulkhead, work, "first", "second")
    await settle()
    work.end("first")
    await first  # the second has the permit already, and has not run yet

    late = asyncio.create_task(bulkhead.execute(work, "late"))
    await settle()

    assert (work.begun, bulkhead.in_use, bulkhead.waiting) == (["first", "second"], 1, 1)
    late.cancel()


class TestRefusal:
    async def test_a_full_queue_refuses_at_once(self, work: Work) -> None:
        bulkhead = Bulkhead(1, max_queue=1, name="payments")
        start(bulkhead, work, "inside", "waiting")
        await settle()

        with pytest.raises(BulkheadFull, match="1 calls inside, 1 waiting") as raised:
            await bulkhead.execute(work, "refused")

        assert (raised.value.attempted, raised.value.retryable) == (False, True)
        assert raised.value.details == {"bulkhead": "payments"}
        assert work.begun == ["inside"]

    async def test_a_refusal_mints_no_permit(self, work: Work) -> None:
        bulkhead = Bulkhead(1)
        start(bulkhead, work, "inside")
        await settle()

        for _ in range(5):
            with pytest.raises(BulkheadFull):
                await bulkhead.execute(work, "refused")

        assert (bulkhead.in_use, work.most) == (1, 1)

    async def test_the_error_of_the_call_comes_out_and_the_place_comes_back(self) -> None:
        bulkhead = Bulkhead(1)

        async def broken() -> None:
            raise LookupError("not there")

        with pytest.raises(LookupError, match="not there"):
            await bulkhead.execute(broken)

        assert bulkhead.permits == 1


class TestQueueTimeout:
    async def test_who_waited_long_enough_leaves(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=2, queue_timeout=0.5, clock=clock)
        _, waiting = start(bulkhead, work, "inside", "waiting")
        await clock.advance(0.4)
        assert not waiting.done()

        await clock.advance(0.1)

        with pytest.raises(BulkheadTimeout, match=r"within 0\.500 s") as raised:
            await waiting
        assert raised.value.attempted is False
        assert (bulkhead.in_use, bulkhead.waiting) == (1, 0)

    async def test_a_queue_timeout_of_nothing_never_waits(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=1, queue_timeout=0, clock=clock)
        start(bulkhead, work, "inside")
        await settle()

        with pytest.raises(BulkheadTimeout):
            await bulkhead.execute(work, "refused")

    async def test_without_one_only_the_deadline_bounds_the_wait(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=2, queue_timeout=None, clock=clock)
        _, patient = start(bulkhead, work, "inside", "patient")
        with use_context(deadline=clock.monotonic() + 2):
            hurried = asyncio.create_task(bulkhead.execute(work, "hurried"))

        await clock.advance(2)

        with pytest.raises(BulkheadTimeout):
            await hurried
        assert not patient.done()
        assert clock.sleepers == 0

    async def test_a_caller_whose_deadline_has_passed_is_not_queued(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=1, clock=clock)
        start(bulkhead, work, "inside")
        await settle()

        with use_context(deadline=clock.monotonic()), pytest.raises(BulkheadTimeout):
            await bulkhead.execute(work, "late")

        assert bulkhead.waiting == 0

    async def test_a_permit_is_not_wasted_on_somebody_whose_time_is_over(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=2, queue_timeout=1.0, clock=clock)
        _, late = start(bulkhead, work, "inside", "late")
        await settle()
        clock.pause(1.0)  # the loop was busy: the timer is due, and has not rung
        (fresh,) = start(bulkhead, work, "fresh")
        await settle()

        work.end("inside")
        work.end("fresh")

        assert await fresh == "fresh"
        with pytest.raises(BulkheadTimeout):
            await late

    async def test_whoever_is_let_in_leaves_no_timer_behind(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=1, queue_timeout=5, clock=clock)
        start(bulkhead, work, "inside", "waiting")
        await settle()
        assert clock.sleepers == 1

        work.end("inside")
        await settle()

        assert clock.sleepers == 0


class TestCancellation:
    async def test_a_cancelled_waiter_leaves_the_queue(self, work: Work, clock: FakeClock) -> None:
        bulkhead = Bulkhead(1, max_queue=2, clock=clock)
        _, waiting, behind = start(bulkhead, work, "inside", "waiting", "behind")
        await settle()

        waiting.cancel()
        await settle()
        assert bulkhead.waiting == 1

        work.end("inside")
        work.end("behind")
        assert await behind == "behind"

    async def test_a_permit_that_reaches_a_cancelled_waiter_goes_to_the_next(self, work: Work) -> None:
        bulkhead = Bulkhead(1, max_queue=2)
        inside, waiting, behind = start(bulkhead, work, "inside", "waiting", "behind")
        await settle()
        work.end("inside")
        await inside

        waiting.cancel()  # it holds the permit by now
        work.end("behind")

        assert await behind == "behind"
        assert waiting.cancelled()
        assert bulkhead.permits == 1

    async def test_a_cancellation_inside_gives_the_place_back(self, work: Work) -> None:
        bulkhead = Bulkhead(1)
        (inside,) = start(bulkhead, work, "inside")
        await settle()

        inside.cancel()
        await settle()

        assert bulkhead.permits == 1

    async def test_ten_thousand_random_cancellations_conserve_the_permits(self, clock: FakeClock) -> None:
        rng = random.Random(11)
        bulkhead = Bulkhead(5, max_queue=20, queue_timeout=0.05, clock=clock)
        inside = most = cancelled = 0

        async def call() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                if rng.random() < 0.2:
                    raise LookupError
            finally:
                inside -= 1

        tasks: set[asyncio.Task[None]] = set()
        while cancelled < 10_000:
            tasks.update(asyncio.create_task(bulkhead.execute(call)) for _ in range(rng.randrange(8)))
            for task in rng.sample(sorted(tasks, key=id), k=min(4, len(tasks))):
                cancelled += task.cancel()
            if rng.random() < 0.1:
                clock.pause(0.02)
            await asyncio.sleep(0)
            tasks = {task for task in tasks if not task.done() or (not task.cancelled() and not task.exception())}
            tasks = {task for task in tasks if not task.done()}
        await asyncio.gather(*tasks, return_exceptions=True)

        assert most == 5
        assert (bulkhead.in_use, bulkhead.permits, bulkhead.waiting, inside) == (0, 5, 0, 0)
