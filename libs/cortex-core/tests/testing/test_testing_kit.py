"""FakeClock, ports and waiting."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from cortex_core.kernel.clock import Clock
from cortex_core.testing import FakeClock, eventually, free_port, free_row


async def test_time_stands_still_until_it_is_advanced() -> None:
    clock: Clock = FakeClock(start=datetime(2026, 1, 1, tzinfo=UTC))

    before = clock.now(), clock.monotonic()
    await asyncio.sleep(0)

    assert (clock.now(), clock.monotonic()) == before


async def test_advancing_moves_both_clocks_alike() -> None:
    clock = FakeClock(start=datetime(2026, 1, 1, tzinfo=UTC))
    before = clock.monotonic()

    await clock.advance(1.5)

    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=1.5)
    assert clock.monotonic() == before + 1.5


async def test_sleepers_wake_in_the_order_of_their_time_each_at_its_own_moment() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 3.0), ("early", 1.0), ("early too", 1.0)):
            group.create_task(sleeper(name, seconds))
        await clock.advance(5)

    assert woken == [("early", 1.0), ("early too", 1.0), ("late", 3.0)]


async def test_a_sleeper_that_sleeps_again_within_the_span_is_woken_again() -> None:
    clock = FakeClock()
    ticks: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.advance(3.5)
    task.cancel()

    assert ticks == [1, 2, 3]


async def test_who_is_not_due_sleeps_on() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(2))

    await clock.advance(1.999)
    assert not task.done()
    assert clock.sleepers == 1

    await clock.advance(0.001)
    assert task.done()
    assert clock.sleepers == 0


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await eventually(lambda: clock.sleepers)

    task.cancel()
    await clock.advance(2)

    assert task.cancelled()
    assert clock.sleepers == 0


async def test_a_timer_rings_once_at_its_moment_unless_it_is_called_off() -> None:
    clock = FakeClock()
    rung: list[tuple[str, float]] = []
    clock.call_later(2, lambda: rung.append(("late", clock.monotonic())))
    clock.call_later(1, lambda: rung.append(("early", clock.monotonic())))
    clock.call_later(1, lambda: rung.append(("never", clock.monotonic()))).cancel()

    await clock.advance(1.5)
    assert rung == [("early", 1.0)]

    await clock.advance(10)
    assert rung == [("early", 1.0), ("late", 2.0)]


def test_a_pause_without_a_loop_moves_the_clock_itself() -> None:
    clock = FakeClock()

    clock.pause(2.5)

    assert clock.monotonic() == 2.5


async def test_over_a_leap_who_looks_every_second_looks_once_and_late() -> None:
    clock = FakeClock()
    looks: list[float] = []

    async def looking() -> None:
        while True:
            await clock.sleep(1)
            looks.append(clock.monotonic())

    task = asyncio.create_task(looking())
    await clock.leap(86_400)
    assert looks == [86_400]

    await clock.advance(2)
    assert looks == [86_400, 86_401, 86_402]
    task.cancel()


async def test_over_a_leap_who_sleeps_for_longer_sleeps_on() -> None:
    clock = FakeClock()
    rung: list[float] = []
    clock.call_later(10, lambda: rung.append(clock.monotonic()))

    await clock.leap(9.999)
    assert rung == []
    await clock.advance(0.001)
    assert rung == [10]


@pytest.mark.parametrize("move", [FakeClock.advance, FakeClock.leap])
async def test_time_does_not_go_back(move: Callable[[FakeClock, float], Awaitable[None]]) -> None:
    with pytest.raises(ValueError, match="go back"):
        await move(FakeClock(), -1)


def test_a_start_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        FakeClock(start=datetime(2026, 1, 1))  # noqa: DTZ001 - the very thing that is refused


def test_a_row_of_free_ports_can_be_listened_on() -> None:
    first = free_row(3)
    with ExitStack() as stack:
        for port in range(first, first + 3):
            stack.enter_context(socket.create_server(("127.0.0.1", port)))


def test_a_row_with_a_taken_port_in_it_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    from cortex_core.testing import ports

    first = free_row(4)
    with socket.create_server(("127.0.0.1", first + 1)):
        found = iter([first, first + 2])
        monkeypatch.setattr(ports._random, "choice", lambda _: next(found))

        assert free_row(2) == first + 2


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_a_taken_port_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    from cortex_core.testing import ports

    with socket.create_server(("127.0.0.1", free_port())) as taken:
        monkeypatch.setattr(ports, "_BELOW_EPHEMERAL", [taken.getsockname()[1]])

        with pytest.raises(OSError, match="no free port"):
            free_port()


async def test_eventually_returns_the_first_truthy_value_of_a_sync_or_async_condition() -> None:
    values = iter([0, None, "here"])

    async def asked() -> str | int | None:
        return next(values)

    assert await eventually(asked) == "here"
    assert await eventually(lambda: 7) == 7


async def test_eventually_gives_up_and_says_on_what() -> None:
    never = False

    with pytest.raises(AssertionError, match=r"not true within 0\.03 s.*never.*last False"):
        await eventually(lambda: never, within=0.03)


async def test_eventually_gives_up_on_a_condition_that_hangs() -> None:
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(AssertionError, match="not true within"):
        await eventually(hangs, within=0.03)


async def test_an_assertion_in_the_condition_means_not_yet_and_is_the_cause_in_the_end() -> None:
    def asserts() -> bool:
        raise AssertionError("three, not four")

    with pytest.raises(AssertionError) as raised:
        await eventually(asserts, within=0.03)

    assert str(raised.value.__cause__) == "three, not four"


async def test_any_other_error_of_the_condition_is_raised_at_once() -> None:
    async def broken() -> bool:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await eventually(broken, within=5)
