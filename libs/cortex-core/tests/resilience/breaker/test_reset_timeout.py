"""How long a circuit is open: longer each time, up to a ceiling, and not the same for everybody."""

import random
from typing import Any

import pytest

from cortex_core.resilience import CircuitBreaker
from cortex_core.testing import FakeClock


class Down(ConnectionError):
    pass


class TestGrowingWait:
    @staticmethod
    async def waits(breaker: CircuitBreaker, clock: FakeClock, backend: Any, times: int) -> list[float]:
        """How long it stays open each time, when its probe fails again and again."""
        backend.error = Down("still")
        found = []
        for _ in range(times):
            assert breaker.opened_until is not None
            found.append(breaker.opened_until - clock.monotonic())
            await clock.advance(found[-1])
            with pytest.raises(Down):
                await breaker.execute(backend)
        return found

    async def test_it_doubles_up_to_its_ceiling(self, clock: FakeClock, opened: Any, backend: Any) -> None:
        breaker = await opened(clock, reset_timeout=1.0, max_reset_timeout=5.0)

        assert await self.waits(breaker, clock, backend, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]

    async def test_it_stays_the_same_unless_told_otherwise(self, clock: FakeClock, opened: Any, backend: Any) -> None:
        assert await self.waits(await opened(clock, reset_timeout=2.0), clock, backend, 3) == [2.0] * 3

    async def test_a_recovery_begins_anew(self, clock: FakeClock, opened: Any, backend: Any) -> None:
        breaker = await opened(clock, reset_timeout=1.0, max_reset_timeout=60.0)
        await self.waits(breaker, clock, backend, 3)
        await clock.advance(60.0)
        backend.error = None
        await breaker.execute(backend)

        backend.error = Down("again")
        with pytest.raises(Down):
            await breaker.execute(backend)

        assert await self.waits(breaker, clock, backend, 2) == [1.0, 2.0]

    async def test_a_half_open_that_took_too_long_counts_as_one_more(
        self, clock: FakeClock, opened: Any, take_off: Any
    ) -> None:
        breaker = await opened(clock, reset_timeout=1.0, max_reset_timeout=60.0, half_open_timeout=10.0)
        await clock.advance(1.0)
        await take_off(breaker)
        await clock.advance(10.0)

        assert (await take_off(breaker)).refused
        assert breaker.opened_until == clock.monotonic() + 2.0

    async def test_jitter_shortens_it_by_up_to_its_share(self, clock: FakeClock, opened: Any) -> None:
        waits = []
        for seed in range(300):
            breaker = await opened(clock, reset_timeout=10.0, jitter=0.5, rng=random.Random(seed))
            waits.append(breaker.opened_until - clock.monotonic())

        assert all(5.0 <= wait <= 10.0 for wait in waits)
        assert min(waits) < 5.5
        assert max(waits) > 9.5

    async def test_a_thousand_failed_probings_do_not_overflow(
        self, clock: FakeClock, opened: Any, backend: Any
    ) -> None:
        breaker = await opened(clock, reset_timeout=0.001, max_reset_timeout=0.002)

        assert (await self.waits(breaker, clock, backend, 1100))[-1] == pytest.approx(0.002)
