"""Under pressure less is compressed, and only while it lasts."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi import Load, Pressure
from cortex_core.testing import FakeClock

LONG = b"0123456789" * 500


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pressure(clock: FakeClock) -> Pressure:
    return Pressure(reduced_at=0.05, off_at=0.25, interval=0.1, clock=clock)


def observe(pressure: Pressure, *lags: float) -> Load:
    for lag in lags:
        pressure.observe(lag)
    return pressure._load


class TestSteps:
    def test_it_begins_with_none(self, pressure: Pressure) -> None:
        assert observe(pressure) is Load.NORMAL

    def test_two_looks_are_chance_three_are_pressure(self, pressure: Pressure) -> None:
        assert observe(pressure, 0.05, 0.05) is Load.NORMAL
        assert observe(pressure, 0.05) is Load.REDUCED

    def test_only_looks_in_a_row_count(self, pressure: Pressure) -> None:
        assert observe(pressure, 0.05, 0.05, 0.049, 0.05, 0.05) is Load.NORMAL

    def test_much_lag_takes_two_steps(self, pressure: Pressure) -> None:
        assert observe(pressure, 9, 9, 9) is Load.REDUCED
        assert observe(pressure, 9, 9) is Load.REDUCED
        assert observe(pressure, 0.25) is Load.OFF
        assert observe(pressure, *[9] * 20) is Load.OFF

    def test_it_comes_back_slowly_and_step_by_step(self, pressure: Pressure) -> None:
        observe(pressure, *[9] * 6)
        assert observe(pressure, *[0.0] * 9) is Load.OFF
        assert observe(pressure, 0.0) is Load.REDUCED
        assert observe(pressure, *[0.0] * 9) is Load.REDUCED
        assert observe(pressure, 0.0) is Load.NORMAL
        assert observe(pressure, *[0.0] * 20) is Load.NORMAL

    @pytest.mark.parametrize(("load", "lag"), [(Load.REDUCED, 0.025), (Load.REDUCED, 0.04), (Load.OFF, 0.125)])
    def test_between_half_and_whole_it_stays(self, pressure: Pressure, load: Load, lag: float) -> None:
        observe(pressure, *[9] * 3 * load)
        assert observe(pressure, *[lag] * 50) is load

    def test_a_lag_in_between_begins_the_way_back_anew(self, pressure: Pressure) -> None:
        observe(pressure, *[0.06] * 3)
        assert observe(pressure, *[0.0] * 9, 0.03, *[0.0] * 9) is Load.REDUCED

    def test_each_change_is_told(self) -> None:
        told: list[Load] = []
        pressure = Pressure(clock=FakeClock(), on_change=told.append)

        observe(pressure, *[9] * 9, *[0.0] * 30)

        assert told == [Load.REDUCED, Load.OFF, Load.REDUCED, Load.NORMAL]


class TestLooking:
    async def test_a_loop_that_is_late_is_noticed(self, pressure: Pressure, clock: FakeClock) -> None:
        for _ in range(3):
            pressure()
            clock.pause(0.1 + 0.06)  # 60 ms more than it wanted to wait
            await clock.advance(0)

        assert pressure() is Load.REDUCED

    async def test_a_loop_that_is_on_time_is_none(self, pressure: Pressure, clock: FakeClock) -> None:
        for _ in range(10):
            assert pressure() is Load.NORMAL
            await clock.advance(0.1)

    async def test_it_looks_once_an_interval_however_often_it_is_asked(
        self, pressure: Pressure, clock: FakeClock
    ) -> None:
        for _ in range(100):
            pressure()
        assert clock.sleepers == 1

    async def test_nobody_asks_and_it_rests_without_pressure(self, pressure: Pressure, clock: FakeClock) -> None:
        pressure()
        observe(pressure, *[9] * 6)
        await clock.advance(0.1)
        assert clock.sleepers == 1  # somebody had asked: one more
        await clock.advance(0.1)

        assert clock.sleepers == 0
        assert pressure() is Load.NORMAL
        assert clock.sleepers == 1

    def test_the_next_loop_is_looked_at_although_the_last_one_ended_early(self, clock: FakeClock) -> None:
        pressure = Pressure(clock=clock)

        async def asks() -> Load:
            return pressure()

        async def looks() -> int:
            before = clock.sleepers
            pressure()
            return clock.sleepers - before

        asyncio.run(asks())

        assert asyncio.run(looks()) == 1

    async def test_the_machines_clock_does_by_itself(self) -> None:
        assert Pressure()() is Load.NORMAL


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"reduced_at": 0}, "reduced_at"),
        ({"reduced_at": 0.3, "off_at": 0.2}, "reduced_at"),
        ({"interval": 0}, "interval"),
    ],
)
def test_bad_construction_names_the_argument(options: Any, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        Pressure(**options)


class TestResponses:
    @pytest.mark.parametrize(("load", "level"), [(Load.NORMAL, 5), (Load.REDUCED, 2)])
    async def test_the_level_is_the_loads(self, get: Any, says: Any, load: Load, level: int) -> None:
        told: list[Any] = []

        assert (await get(says(LONG), pressure=lambda: load, on_response=told.append)).body == LONG

        assert (told[0].load, told[0].level) == (load, level)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_off_nothing_is_encoded_and_caches_are_told(self, get: Any, says: Any, method: str) -> None:
        answer = await get(says(LONG), method=method, pressure=lambda: Load.OFF)

        assert answer.coding is None
        assert answer.headers["vary"] == "Accept-Encoding"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_off_who_refuses_identity_gets_the_quickest(self, get: Any, says: Any, method: str) -> None:
        answer = await get(says(LONG), "identity;q=0, gzip", method=method, pressure=lambda: Load.OFF)

        assert answer.coding == "gzip"

    async def test_a_stream_keeps_what_it_began_with(self, get: Any, says: Any) -> None:
        loads = iter([Load.NORMAL])

        assert (await get(says(LONG, LONG, LONG), pressure=lambda: next(loads))).body == LONG * 3

    async def test_it_is_asked_only_where_something_would_be_encoded(self, get: Any, says: Any) -> None:
        def never() -> Load:
            raise AssertionError("asked")

        for app, accept in ((says(b"ok"), "gzip"), (says(LONG), None), (says(LONG, headers=[]), "gzip")):
            await get(app, accept, pressure=never)
