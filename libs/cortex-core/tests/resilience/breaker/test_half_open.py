"""Half-open: exactly so many probes, what they decide, how long they may take, how long the next wait is."""

import asyncio
import threading
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import (
    CircuitBreaker,
    CircuitCause,
    CircuitOpenError,
    CircuitState,
    Refusal,
    is_failure,
)
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Missing(CortexError):
    code, kind = "test.missing", Kind.NOT_FOUND


class BrokenOff(Exception):
    """Ours to blame, and no word about the backend."""


async def test_probes_come_when_the_time_is_over_and_not_before(clock: FakeClock, opened: Any, backend: Any) -> None:
    breaker = await opened(clock, reset_timeout=5.0)

    await clock.advance(4.999)
    with pytest.raises(CircuitOpenError):
        await breaker.execute(backend)
    await clock.advance(0.001)

    assert await breaker.execute(backend) == "ok"
    assert breaker.state is CircuitState.CLOSED


async def test_exactly_the_agreed_number_gets_through(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=3)
    await clock.advance(5.0)

    flights = [await take_off(breaker) for _ in range(10)]

    assert [flight.refused for flight in flights] == [False] * 3 + [True] * 7
    assert (breaker.state, breaker.status.probes) == (CircuitState.HALF_OPEN, 3)
    refusal = flights[-1].task.exception()
    assert refusal.retry_after is None
    assert "its probes are under way" in str(refusal)


async def test_a_probe_that_has_ended_does_not_make_room_for_one_more(
    clock: FakeClock, opened: Any, take_off: Any
) -> None:
    breaker = await opened(clock, probes=2)
    await clock.advance(5.0)
    first, second = await take_off(breaker), await take_off(breaker)

    await first.land()
    assert (await take_off(breaker)).refused
    assert breaker.state is CircuitState.HALF_OPEN
    await second.land()

    assert breaker.state is CircuitState.CLOSED


async def test_all_probes_must_succeed(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=3, reset_timeout=5.0)
    await clock.advance(5.0)
    first, second, third = [await take_off(breaker) for _ in range(3)]

    await first.land()
    await second.land(Down("still"))
    assert (breaker.state, breaker.opened_until) == (CircuitState.OPEN, clock.monotonic() + 5.0)
    await third.land()

    assert breaker.state is CircuitState.OPEN  # the third speaks of a time that is over


async def test_fewer_may_be_enough(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=3, probes_to_close=2)
    await clock.advance(5.0)
    first, second, third = [await take_off(breaker) for _ in range(3)]

    await first.land(Down("still"))
    assert breaker.state is CircuitState.HALF_OPEN
    await second.land()
    await third.land()

    assert breaker.state is CircuitState.CLOSED


async def test_as_soon_as_too_few_can_succeed_it_is_open_again(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=3, probes_to_close=2)
    await clock.advance(5.0)
    first, second, _ = [await take_off(breaker) for _ in range(3)]

    await first.land(Down("still"))
    await second.land(Down("still"))

    assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.PROBES_FAILED)


async def test_a_cancelled_probe_gives_its_place_back(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=1)
    await clock.advance(5.0)
    probe = await take_off(breaker)

    await probe.cancel()
    successor = await take_off(breaker)

    assert not successor.refused
    assert (await take_off(breaker)).refused


async def test_a_probe_that_a_block_within_refused_gives_its_place_back(
    clock: FakeClock, opened: Any, take_off: Any
) -> None:
    breaker = await opened(clock, probes=1)
    await clock.advance(5.0)
    probe = await take_off(breaker)

    await probe.land(Refusal("the bulkhead is full"))

    assert breaker.state is CircuitState.HALF_OPEN
    assert not (await take_off(breaker)).refused


async def test_a_probe_that_is_neither_failure_nor_success_gives_its_place_back(
    clock: FakeClock, opened: Any, take_off: Any
) -> None:
    breaker = await opened(
        clock, probes=1, is_failure=lambda error: None if isinstance(error, BrokenOff) else is_failure(error)
    )
    await clock.advance(5.0)

    for _ in range(3):
        await (await take_off(breaker)).land(BrokenOff("our own upload ended"))
        assert breaker.state is CircuitState.HALF_OPEN

    await (await take_off(breaker)).land(Down("still"))
    assert breaker.state is CircuitState.OPEN


async def test_a_probe_that_is_answered_with_the_callers_fault_has_succeeded(
    clock: FakeClock, opened: Any, take_off: Any
) -> None:
    breaker = await opened(clock, probes=1)
    await clock.advance(5.0)

    await (await take_off(breaker)).land(Missing("no such order"))

    assert breaker.state is CircuitState.CLOSED


async def test_a_call_of_before_is_no_probe(clock: FakeClock, take_off: Any, backend: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout=5.0, clock=clock)
    of_before, other = await take_off(breaker), await take_off(breaker)
    backend.error = Down("down")
    with pytest.raises(Down):
        await breaker.execute(backend)
    await clock.advance(5.0)
    probe = await take_off(breaker)

    await of_before.land(Down("of before"))
    assert breaker.state is CircuitState.HALF_OPEN
    await other.land()
    assert breaker.state is CircuitState.HALF_OPEN

    await probe.land()
    assert breaker.state is CircuitState.CLOSED


class TestItsLimit:
    async def test_a_probe_that_hangs_does_not_block_the_circuit_for_ever(
        self, clock: FakeClock, opened: Any, take_off: Any
    ) -> None:
        breaker = await opened(clock, reset_timeout=5.0, half_open_timeout=10.0)
        await clock.advance(5.0)
        await take_off(breaker)

        await clock.advance(10.0)
        refused = await take_off(breaker)

        assert refused.refused
        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.PROBES_TOO_LONG)
        assert breaker.opened_until == clock.monotonic() + 5.0
        await clock.advance(5.0)
        assert not (await take_off(breaker)).refused

    async def test_until_then_it_waits(self, clock: FakeClock, opened: Any, take_off: Any) -> None:
        breaker = await opened(clock, half_open_timeout=10.0)
        await clock.advance(5.0)
        probe = await take_off(breaker)

        await clock.advance(9.999)
        await probe.land()

        assert breaker.state is CircuitState.CLOSED

    async def test_a_probe_that_comes_back_too_late_decides_nothing(
        self, clock: FakeClock, opened: Any, take_off: Any
    ) -> None:
        breaker = await opened(clock, half_open_timeout=10.0)
        await clock.advance(5.0)
        probe = await take_off(breaker)

        await clock.advance(10.0)
        await probe.land()

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.PROBES_TOO_LONG)

    async def test_open_again_counts_from_the_limit_and_not_from_when_somebody_noticed(
        self, clock: FakeClock, opened: Any, take_off: Any
    ) -> None:
        breaker = await opened(clock, reset_timeout=5.0, half_open_timeout=10.0)
        await clock.advance(5.0)
        await take_off(breaker)

        await clock.advance(3600.0)

        assert not (await take_off(breaker)).refused
        assert breaker.state is CircuitState.HALF_OPEN


class TestRacers:
    """Whoever comes at the moment of recovery: as many as were agreed get through, and nobody else."""

    @pytest.mark.parametrize("probes", [1, 3])
    async def test_a_thousand_tasks(self, clock: FakeClock, opened: Any, probes: int) -> None:
        breaker = await opened(clock, probes=probes)
        await clock.advance(5.0)
        inside, gate = 0, asyncio.Event()

        async def racer() -> None:
            nonlocal inside
            inside += 1
            await gate.wait()

        racers = [asyncio.create_task(breaker.execute(racer)) for _ in range(1000)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen_inside = inside
        gate.set()
        ended = await asyncio.gather(*racers, return_exceptions=True)

        assert seen_inside == inside == probes
        assert sum(isinstance(error, CircuitOpenError) for error in ended) == 1000 - probes

    @pytest.mark.parametrize("probes", [1, 3])
    def test_a_thousand_threads_calls(self, probes: int) -> None:
        clock = FakeClock()
        breaker = CircuitBreaker(failure_threshold=1, reset_timeout=5.0, probes=probes, clock=clock)
        with pytest.raises(Down), breaker:
            raise Down("down")
        clock.pause(5.0)
        start, finish = threading.Barrier(20), threading.Barrier(20)
        inside: list[int] = []
        refused: list[CircuitOpenError] = []

        def racer() -> None:
            start.wait(10)
            with_place = 0
            for _ in range(50):
                try:
                    breaker.__enter__()
                    with_place += 1
                except CircuitOpenError as error:
                    refused.append(error)
            inside.append(with_place)
            finish.wait(10)  # nobody ends its probe before all have asked
            for _ in range(with_place):
                breaker.__exit__(None, None, None)

        threads = [threading.Thread(target=racer) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert (sum(inside), len(refused)) == (probes, 1000 - probes)
        assert breaker.state is CircuitState.CLOSED
