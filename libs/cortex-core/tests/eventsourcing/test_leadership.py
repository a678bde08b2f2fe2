import asyncio
import contextlib
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    EventStoreUnavailable,
    Leadership,
    Lease,
    LeaseLost,
    MemoryEventStore,
)
from cortex_core.testing import FakeClock, eventually

from .leading import MARGIN, TTL, Leases, Make, Told, Work, maker


@pytest.fixture
def leases(clock: FakeClock) -> Leases:
    return Leases(MemoryEventStore(clock=clock), clock)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(leases: Leases, clock: FakeClock, told: Told) -> Make:
    return maker(leases, clock, told)


async def test_whoever_comes_first_leads_and_gives_back_in_the_end(make: Make, told: Told) -> None:
    first = make("a")

    async with first.held() as lease:
        assert (lease.holder, lease.epoch) == ("a", 1)
        assert first.lease == lease
    assert first.lease is None

    async with make("b").held() as lease:
        assert (lease.holder, lease.epoch) == ("b", 2)
    assert told.words == ["gained", "released"] * 2


async def test_it_stays_the_leader_for_as_long_as_it_renews(make: Make, leases: Leases, clock: FakeClock) -> None:
    work = Work(make("a"))
    await work.begun.wait()
    other = Work(make("b"))

    await clock.advance(TTL * 20)

    assert not other.begun.is_set() and not work.task.done()
    assert leases.renewals == 60
    await work.end()
    await clock.advance(TTL / 4)
    assert other.begun.is_set()
    await other.end()


async def test_when_the_store_does_not_answer_it_stops_before_another_may_begin(
    make: Make, leases: Leases, clock: FakeClock, told: Told
) -> None:
    leadership = make("a")
    work = Work(leadership)
    await work.begun.wait()
    leases.failing = EventStoreUnavailable("gone")

    await clock.advance(TTL - MARGIN - 0.01)
    assert leadership.lease is not None and not work.task.done()
    await clock.advance(0.01)

    assert leadership.lease is None
    with pytest.raises(LeaseLost):
        await work.task
    assert told.words == ["gained", "trouble", "trouble", "lost", "trouble"]
    assert isinstance(told.turns[1].error, EventStoreUnavailable)


async def test_a_renewal_that_comes_back_in_time_saves_it(make: Make, leases: Leases, clock: FakeClock) -> None:
    work = Work(make("a"))
    await work.begun.wait()
    leases.failing = EventStoreUnavailable("gone")
    await clock.advance(TTL / 3)
    leases.failing = None

    await clock.advance(TTL * 3)

    assert not work.task.done()
    await work.end()


async def test_the_belief_is_counted_from_before_the_question(make: Make, leases: Leases, clock: FakeClock) -> None:
    """The answer takes its time: for the store the lease has run all the while."""
    leases.takes = 2.0
    leadership = make("a")
    work = Work(leadership)
    await clock.advance(2.0)
    assert work.begun.is_set()
    leases.failing = EventStoreUnavailable("gone")

    await clock.advance(TTL - MARGIN - 2.0 - 0.01)
    assert leadership.lease is not None
    await clock.advance(0.01)

    assert leadership.lease is None
    await asyncio.gather(work.task, return_exceptions=True)


async def test_an_answer_that_came_too_late_is_no_lease(make: Make, leases: Leases, clock: FakeClock) -> None:
    leases.takes = TTL - MARGIN
    work = Work(make("a"))
    await clock.advance(TTL - MARGIN)
    assert not work.begun.is_set()

    leases.takes = 0.0
    await clock.advance(TTL)
    assert work.begun.is_set() and work.lease is not None and work.lease.epoch == 2
    await work.end()


async def test_a_renewal_whose_answer_comes_after_the_end_of_the_belief_saves_nothing(
    make: Make, leases: Leases, clock: FakeClock
) -> None:
    leadership = make("a")
    work = Work(leadership)
    await work.begun.wait()
    leases.takes = TTL

    await clock.advance(TTL - MARGIN)
    with pytest.raises(LeaseLost):
        await work.task
    await clock.advance(TTL)
    assert leadership.lease is None


async def test_told_that_it_has_been_replaced_it_stops_at_once(
    make: Make, leases: Leases, clock: FakeClock, told: Told
) -> None:
    work = Work(make("a"))
    await work.begun.wait()
    assert work.lease is not None
    await leases.store.leases.release(work.lease)
    assert await leases.store.leases.acquire("relay", "b", TTL) is not None

    await clock.advance(TTL / 3)

    with pytest.raises(LeaseLost):
        await work.task
    assert told.words == ["gained", "lost"]
    with pytest.raises(LeaseLost):
        await leases.store.leases.renew(work.lease)
    assert await leases.store.leases.acquire("relay", "c", TTL) is None, "b's lease is not given back by a"


async def test_trouble_while_asking_for_it_is_waited_for(
    make: Make, leases: Leases, clock: FakeClock, told: Told
) -> None:
    leases.failing = EventStoreUnavailable("gone")
    work = Work(make("a"))
    await clock.advance(TTL)
    assert not work.begun.is_set() and len(told.turns) > 3

    leases.failing = None
    await clock.advance(TTL / 4)
    assert work.begun.is_set()
    await work.end()


async def test_an_error_of_the_block_is_its_own_and_the_lease_is_given_back(make: Make, told: Told) -> None:
    with pytest.raises(LookupError):
        async with make("a").held():
            raise LookupError

    assert told.words == ["gained", "released"]
    async with make("b").held():
        pass


async def test_cancelled_by_somebody_else_it_is_a_cancellation(make: Make, clock: FakeClock, told: Told) -> None:
    work = Work(make("a"))
    await work.begun.wait()

    work.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work.task
    assert told.words == ["gained", "released"]


async def test_cancelled_by_both_it_is_a_cancellation(make: Make, leases: Leases, clock: FakeClock) -> None:
    tidying, tidied = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with make("a").held():
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                tidying.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await tidied.wait()

    task = asyncio.create_task(work())
    await clock.advance(0)
    leases.failing = EventStoreUnavailable("gone")
    await clock.advance(TTL)
    assert tidying.is_set()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_while_its_last_renewal_unwinds_it_is_a_cancellation(
    make: Make, leases: Leases, clock: FakeClock, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewing, unwinding, unwound = asyncio.Event(), asyncio.Event(), asyncio.Event()
    went_on = False

    async def renew(lease: Lease) -> Lease:
        renewing.set()
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        finally:
            unwinding.set()
            await unwound.wait()  # a driver that gives its connection back

    async def work() -> None:
        nonlocal went_on
        async with make("a").held():
            await renewing.wait()
        went_on = True

    monkeypatch.setattr(leases, "renew", renew)
    task = asyncio.create_task(work())
    await clock.advance(TTL / 3)
    await asyncio.wait_for(unwinding.wait(), 30)

    task.cancel()
    await clock.advance(0)
    unwound.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on
    assert told.words == ["gained", "released"]


async def test_what_lost_its_lease_can_go_on_afterwards(make: Make, leases: Leases, clock: FakeClock) -> None:
    """The cancellation is taken back, as `asyncio.timeout` does."""
    leadership = make("a")
    outcomes: list[str] = []

    async def twice() -> None:
        for _ in range(2):
            try:
                async with leadership.held():
                    await asyncio.get_running_loop().create_future()
            except LeaseLost:
                outcomes.append("lost")
        current = asyncio.current_task()
        assert current is not None and current.cancelling() == 0
        await asyncio.sleep(0)
        outcomes.append("went on")

    task = asyncio.create_task(twice())
    for _ in range(2):
        await eventually(lambda: leadership.lease)
        leases.failing = EventStoreUnavailable("gone")
        await clock.advance(TTL)
        leases.failing = None
        await clock.advance(TTL)
    await task
    assert outcomes == ["lost", "lost", "went on"]


def test_every_one_has_a_name_of_its_own(leases: Leases) -> None:
    assert Leadership(leases, "relay").holder != Leadership(leases, "relay").holder


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"margin": -1}, {"margin": 3.1}, {"holder": ""}])
def test_impossible_terms_are_refused(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        make(**wrong)
