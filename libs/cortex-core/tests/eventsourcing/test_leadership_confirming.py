"""Asked whether it still leads, and what it tells: the store's word, the hook, the log."""

import asyncio
import contextlib
import logging

import pytest

from cortex_core.eventsourcing import (
    EventStoreUnavailable,
    LeadershipDetails,
    LeaseLost,
    MemoryEventStore,
)
from cortex_core.testing import FakeClock

from .leading import MARGIN, TTL, Leases, Make, Told, maker


@pytest.fixture
def leases(clock: FakeClock) -> Leases:
    return Leases(MemoryEventStore(clock=clock), clock)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(leases: Leases, clock: FakeClock, told: Told) -> Make:
    return maker(leases, clock, told)


class TestConfirming:
    async def test_the_store_says_yes_and_for_longer(self, make: Make, leases: Leases, clock: FakeClock) -> None:
        leadership = make("a")
        async with leadership.held() as lease:
            clock.pause(TTL - MARGIN - 0.1)
            await leadership.confirm(lease)
            clock.pause(TTL - MARGIN - 0.1)
            assert leadership.lease is not None

    async def test_the_store_says_no(self, make: Make, leases: Leases, told: Told) -> None:
        leadership = make("a")
        with pytest.raises(LeaseLost):
            async with leadership.held() as lease:
                await leases.store.leases.release(lease)
                with pytest.raises(LeaseLost) as caught:
                    await leadership.confirm(lease)
                assert leadership.lease is None
                raise caught.value
        assert told.words == ["gained", "lost"]
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    async def test_a_cancellation_after_the_no_is_a_cancellation(self, make: Make, leases: Leases) -> None:
        said_no = asyncio.Event()

        async def work() -> None:
            leadership = make("a")
            async with leadership.held() as lease:
                await leases.store.leases.release(lease)
                with contextlib.suppress(LeaseLost):
                    await leadership.confirm(lease)
                said_no.set()
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(work())
        await said_no.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_the_store_says_nothing(self, make: Make, leases: Leases) -> None:
        leadership = make("a")
        async with leadership.held() as lease:
            leases.failing = EventStoreUnavailable("gone")
            with pytest.raises(EventStoreUnavailable):
                await leadership.confirm(lease)
            assert leadership.lease is not None


async def test_a_hook_that_raises_costs_nothing(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: LeadershipDetails) -> None:
        raise LookupError("no such metric")

    async with make("a", on_turn=broken).held():
        pass

    assert "no such metric" in caplog.text


async def test_without_a_hook_it_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with make("a", on_turn=None).held():
            pass

    assert "'turn': 'gained', 'lease': 'relay', 'holder': 'a', 'epoch': 1" in caplog.text
