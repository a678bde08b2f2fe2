"""Bulkhead: as a block, as a decorator, what its hook hears, and what it is not built with."""

import asyncio
from typing import Any

import pytest

from cortex_core.resilience import Admission, AdmissionDetails, Bulkhead
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def start(bulkhead: Bulkhead, *names: str) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(bulkhead.execute(settle), name=name) for name in names]


class TestForms:
    async def test_a_block_holds_a_place(self) -> None:
        bulkhead = Bulkhead(1)

        async with bulkhead as entered:
            assert entered is bulkhead
            assert bulkhead.permits == 0
        with bulkhead:
            assert bulkhead.permits == 0

        assert bulkhead.permits == 1

    async def test_a_block_waits_its_turn(self) -> None:
        bulkhead = Bulkhead(1, max_queue=1)

        async def block() -> int:
            async with bulkhead:
                return bulkhead.waiting

        async with bulkhead:
            waiting = asyncio.create_task(block())
            await settle()
            assert bulkhead.waiting == 1

        assert await waiting == 0

    async def test_a_function_is_decorated(self) -> None:
        bulkhead = Bulkhead(1)

        @bulkhead
        async def places() -> int:
            return bulkhead.permits

        @bulkhead
        def places_sync() -> int:
            return bulkhead.permits

        assert (await places(), places_sync(), bulkhead.permits) == (0, 0, 1)


class TestHook:
    async def test_it_hears_of_every_decision(self, clock: FakeClock) -> None:
        heard: list[AdmissionDetails] = []
        bulkhead = Bulkhead(1, max_queue=1, queue_timeout=2, name="db", clock=clock, on_admission=heard.append)

        async with bulkhead:
            late = start(bulkhead, "waits", "refused")
            await clock.advance(2)
            in_turn = start(bulkhead, "waits", "refused")
            await clock.advance(1)
        await asyncio.wait([*late, *in_turn])

        assert heard == [
            AdmissionDetails("db", Admission.ADMITTED, 0.0, 1, 0),
            AdmissionDetails("db", Admission.FULL, 0.0, 1, 1),
            AdmissionDetails("db", Admission.TIMEOUT, 2.0, 1, 0),
            AdmissionDetails("db", Admission.FULL, 0.0, 1, 1),
            AdmissionDetails("db", Admission.ADMITTED, 1.0, 1, 0),
        ]

    async def test_it_hears_of_a_waiter_who_leaves(self, clock: FakeClock) -> None:
        heard: list[AdmissionDetails] = []
        bulkhead = Bulkhead(1, max_queue=1, queue_timeout=None, clock=clock, on_admission=heard.append)

        async with bulkhead:
            (waiting,) = start(bulkhead, "waiting")
            await settle()
            waiting.cancel()
            await settle()

        assert [each.outcome for each in heard] == [Admission.ADMITTED, Admission.LEFT]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"max_concurrent": 1, "max_queue": -1}, "max_queue"),
        ({"max_concurrent": 1, "queue_timeout": -0.1}, "queue_timeout"),
        ({"max_concurrent": 1, "queue_timeout": float("nan")}, "queue_timeout"),
        ({"max_concurrent": 1, "queue_timeout": float("inf")}, "queue_timeout"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Bulkhead(**arguments)
