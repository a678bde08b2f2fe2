"""Time as text and back, and the machine's clock."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex_core.kernel import SystemClock
from cortex_core.kernel.clock import parse_rfc3339, rfc3339

moments = st.datetimes(min_value=datetime(1000, 1, 2), timezones=st.timezones(), allow_imaginary=False)  # noqa: DTZ001 - hypothesis adds the zone


@settings(deadline=None)  # a busy machine is not a failure
@given(moments)
def test_a_moment_survives_being_written_and_read(moment: datetime) -> None:
    assert parse_rfc3339(rfc3339(moment)) == moment.astimezone(UTC)


@settings(deadline=None)  # a busy machine is not a failure
@given(moments, moments)
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)

    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_any_offset_is_read_as_utc() -> None:
    assert parse_rfc3339("2026-11-23T14:00:00+02:00") == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert rfc3339(datetime(2026, 11, 23, 14, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-23T12:00:00.000000Z"


@pytest.mark.parametrize("text", ["2026-11-23T12:00:00", "2026-11-23", "yesterday", ""])
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339(text)


async def test_the_machines_clock_waits_and_does_not_go_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()

    await clock.sleep(0.01)
    clock.pause(0.01)

    assert clock.monotonic() - before >= 0.018
    assert clock.now().utcoffset() == timedelta(0)


async def test_the_machines_clock_calls_back_unless_it_is_told_not_to() -> None:
    clock, rung = SystemClock(), asyncio.Event()

    clock.call_later(0, lambda: pytest.fail("it was called off")).cancel()
    clock.call_later(0.001, rung.set)

    await asyncio.wait_for(rung.wait(), 30)
