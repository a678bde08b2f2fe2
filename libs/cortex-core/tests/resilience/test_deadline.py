"""Deadlines: what is left of them, and how they cross a wire."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cortex_core.kernel import use_context
from cortex_core.resilience import (
    DeadlineExceeded,
    check_deadline,
    read_deadline,
    read_grpc_timeout,
    remaining,
    write_deadline,
    write_grpc_timeout,
)
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_what_is_left_shrinks_to_nothing(clock: FakeClock) -> None:
    assert remaining(clock) is None
    with use_context(deadline=3.0):
        assert remaining(clock) == 3.0
        await clock.advance(2.0)
        assert remaining(clock) == 1.0
        await clock.advance(2.0)
        assert remaining(clock) == 0.0


async def test_work_for_a_caller_who_has_left_is_refused(clock: FakeClock) -> None:
    check_deadline(clock)
    with use_context(deadline=3.0):
        check_deadline(clock)
        await clock.advance(3.0)
        with pytest.raises(DeadlineExceeded, match="before this began") as raised:
            check_deadline(clock)
    assert raised.value.attempted is False


class TestMilliseconds:
    @pytest.mark.parametrize(
        ("left", "written"), [(0.25, "250"), (1.9999, "1999"), (0.0004, "0"), (-5.0, "0"), (math.inf, "999999999")]
    )
    def test_they_are_rounded_down(self, clock: FakeClock, left: float, written: str) -> None:
        with use_context(deadline=left):
            assert write_deadline(clock) == written

    def test_without_a_deadline_nothing_is_written(self, clock: FakeClock) -> None:
        assert write_deadline(clock) is None
        assert write_grpc_timeout(clock) is None

    @pytest.mark.parametrize("value", ["1500", b"1500", "000001500"])
    async def test_they_are_read_from_now_on(self, clock: FakeClock, value: str | bytes) -> None:
        await clock.advance(10.0)

        assert read_deadline(value, clock) == 11.5

    @pytest.mark.parametrize(
        "value", [None, "", "soon", "-1", "+1", "1.5", " 1", "1 ", "1\n", "1_0", "\uff11", "1234567890"]
    )
    def test_what_is_none_is_no_deadline(self, clock: FakeClock, value: str | None) -> None:
        assert read_deadline(value, clock) is None


class TestGrpc:
    @pytest.mark.parametrize(
        ("left", "written"),
        [
            (0.05, "50000000n"),
            (0.1, "100000u"),
            (100.0, "100000m"),
            (86_400.0, "86400000m"),
            (1e5, "100000S"),
            (1e8, "1666666M"),
            (1e10, "2777777H"),
            (1e15, "99999999H"),
            (math.inf, "99999999H"),
            (0.0, "1n"),
            (-1.0, "1n"),
        ],
    )
    def test_the_finest_unit_that_fits(self, clock: FakeClock, left: float, written: str) -> None:
        with use_context(deadline=left):
            assert write_grpc_timeout(clock) == written

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("100m", 0.1),
            (b"100m", 0.1),
            ("1H", 3600.0),
            ("2M", 120.0),
            ("3S", 3.0),
            ("5u", 5e-6),
            ("7n", 7e-9),
            ("0S", 0),
        ],
    )
    def test_every_unit_is_read(self, clock: FakeClock, value: str | bytes, seconds: float) -> None:
        assert read_grpc_timeout(value, clock) == pytest.approx(seconds)

    @pytest.mark.parametrize("value", [None, "", "m", "100", "100x", "-1m", "1.5S", "123456789m", "1mm", "\uff11m"])
    def test_what_is_none_is_no_deadline(self, clock: FakeClock, value: str | None) -> None:
        assert read_grpc_timeout(value, clock) is None


@given(value=st.one_of(st.none(), st.text(), st.binary(), st.from_regex(r"[0-9]{1,10}[HMSmunx]?\s?")))
@example(value=b"\xff\xfe")
@example(value="\u0661m")
def test_reading_never_raises(value: str | bytes | None) -> None:
    clock = FakeClock()

    for read in (read_deadline, read_grpc_timeout):
        deadline = read(value, clock)
        assert deadline is None or deadline >= 0.0


@given(left=st.floats(0, 1e11))
def test_what_crossed_a_wire_is_never_more_than_there_was(left: float) -> None:
    clock = FakeClock()

    with use_context(deadline=left):
        by_header = read_deadline(write_deadline(clock), clock)
        by_grpc = read_grpc_timeout(write_grpc_timeout(clock), clock)

    assert by_header is not None
    assert by_grpc is not None
    assert left - 0.002 <= by_header <= left or left > 999_999
    assert left * (1 - 1e-4) - 1e-9 <= by_grpc <= max(left * (1 + 1e-15), 1e-9)
