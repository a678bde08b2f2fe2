"""HealthCheckRegistry: who is asked, how long, and what the report says and does not say."""

import asyncio
import mmap
from collections.abc import Mapping
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.kernel.clock import parse_rfc3339
from cortex_core.observability import HealthCheckRegistry, Status, memory_check, uptime_check
from cortex_core.testing import FakeClock

CANARY = "canary-3d1e-must-not-be-seen"


class BusDown(CortexError):
    code, kind = "bus.unavailable", Kind.UNAVAILABLE


async def fine() -> None:
    """Nothing amiss."""


async def never() -> None:
    await asyncio.Event().wait()


def failing(error: Exception) -> Any:
    async def check() -> None:
        raise error

    return check


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> HealthCheckRegistry:
    return HealthCheckRegistry(clock)


async def test_nothing_to_ask_is_up(health: HealthCheckRegistry, clock: FakeClock) -> None:
    report = await health.run()

    assert report.to_dict() == {"status": "up", "timestamp": "2026-11-23T12:00:00.000000Z", "checks": {}}


async def test_the_report_says_what_each_check_says(health: HealthCheckRegistry) -> None:
    async def bus() -> Mapping[str, Any]:
        return {"subscribers": 2}

    health.register("database", fine)
    health.register("event-bus", bus)

    report = (await health.run()).to_dict()

    assert report["status"] == "up"
    assert report["checks"] == {
        "database": {"status": "up", "durationMs": 0.0},
        "event-bus": {"subscribers": 2, "status": "up", "durationMs": 0.0},
    }


@pytest.mark.parametrize(
    ("critical", "optional", "overall"),
    [(fine, never, "degraded"), (never, fine, "down"), (never, never, "down"), (fine, fine, "up")],
)
async def test_only_a_critical_check_brings_the_whole_down(
    health: HealthCheckRegistry, clock: FakeClock, critical: Any, optional: Any, overall: str
) -> None:
    health.register("database", critical)
    health.register("event-bus", optional, critical=False)

    running = asyncio.create_task(health.run())
    await clock.advance(1.0)

    assert (await running).status == overall


async def test_checks_run_at_the_same_time_each_under_its_own_limit(
    health: HealthCheckRegistry, clock: FakeClock
) -> None:
    async def slow() -> None:
        await clock.sleep(0.9)

    for number in range(10):
        health.register(f"slow-{number}", slow)
    health.register("hung", never, timeout=0.5)

    running = asyncio.create_task(health.run())
    await clock.advance(0.9)

    checks = (await running).to_dict()["checks"]
    assert checks["slow-9"] == {"status": "up", "durationMs": 900.0}
    assert checks["hung"] == {"status": "down", "durationMs": 500.0, "error": "timed out after 0.5 s"}


async def test_a_check_that_will_not_be_cancelled_does_not_hold_up_the_report(
    health: HealthCheckRegistry, clock: FakeClock
) -> None:
    released = asyncio.Event()
    asked = 0

    async def stubborn() -> None:
        nonlocal asked
        asked += 1
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("too late to matter")

    health.register("driver", stubborn)
    running = asyncio.create_task(health.run())
    await clock.advance(1.0)
    assert (await running).to_dict()["checks"]["driver"]["error"] == "timed out after 1.0 s"

    second = (await health.run()).to_dict()["checks"]["driver"]
    assert (second["status"], second["error"]) == ("down", "the previous check has not ended yet")
    assert asked == 1

    released.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with_it_gone = asyncio.create_task(health.run())
    await clock.advance(0)
    await with_it_gone
    assert asked == 2


async def test_two_reports_at_once_may_both_run_into_the_limit(health: HealthCheckRegistry, clock: FakeClock) -> None:
    health.register("hung", never)

    both = asyncio.gather(health.run(), health.run())
    await clock.advance(1.0)

    assert [report.status for report in await both] == ["down", "down"]
    third = asyncio.create_task(health.run())
    await clock.advance(1.0)
    assert (await third).to_dict()["checks"]["hung"]["error"] == "timed out after 1.0 s"


async def test_a_report_nobody_waits_for_leaves_no_check_running(health: HealthCheckRegistry, clock: FakeClock) -> None:
    health.register("hung", never)
    running = asyncio.create_task(health.run())
    await clock.advance(0.1)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await clock.advance(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_remembered_from_one_report_to_the_next(health: HealthCheckRegistry) -> None:
    answers = [RuntimeError(), None, RuntimeError()]

    async def flapping() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    health.register("flapping", flapping)

    assert [(await health.run()).status for _ in range(3)] == ["down", "up", "down"]


async def test_an_error_written_for_readers_is_shown_and_any_other_only_by_its_class(
    health: HealthCheckRegistry,
) -> None:
    health.register("event-bus", failing(BusDown("Redis does not answer")))
    health.register("database", failing(ConnectionError(f"cannot reach postgres://ann:{CANARY}@db")))

    checks = (await health.run()).to_dict()["checks"]

    assert checks["event-bus"]["error"] == "Redis does not answer"
    assert checks["database"]["error"] == "ConnectionError"


async def test_a_check_that_raises_before_it_awaits_anything_is_down(health: HealthCheckRegistry) -> None:
    def broken() -> Any:
        raise ValueError("not even a coroutine")

    health.register("broken", broken)

    assert (await health.run()).to_dict()["checks"]["broken"]["error"] == "ValueError"


async def test_a_check_whose_driver_was_cancelled_is_down(health: HealthCheckRegistry) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    health.register("driver", cancelled)

    assert (await health.run()).to_dict()["checks"]["driver"]["error"] == "cancelled"


async def test_a_secret_in_the_details_is_not_told(health: HealthCheckRegistry) -> None:
    async def careless() -> Mapping[str, Any]:
        return {"url": f"redis://:{CANARY}@localhost", "password": CANARY}

    health.register("careless", careless)

    assert CANARY not in str((await health.run()).to_dict())


async def test_a_check_may_judge_for_itself(health: HealthCheckRegistry) -> None:
    async def half() -> Mapping[str, Any]:
        return {"status": Status.DEGRADED, "reason": "one replica of two"}

    health.register("upstream", half)

    report = (await health.run()).to_dict()
    assert report["status"] == "degraded"
    assert report["checks"]["upstream"] == {"reason": "one replica of two", "status": "degraded", "durationMs": 0.0}


def test_a_name_is_given_once(health: HealthCheckRegistry) -> None:
    health.register("database", fine)

    with pytest.raises(ValueError, match="'database'"):
        health.register("database", fine)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_limit_must_be_positive(health: HealthCheckRegistry, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout of health check 'database'"):
        health.register("database", fine, timeout=timeout)


async def test_the_memory_check_tells_what_the_process_occupies() -> None:
    before = (await memory_check()() or {})["rssBytes"]
    with mmap.mmap(-1, 64 << 20) as ballast:  # pages that nobody has had before
        ballast[::4096] = bytes(64 << 8)
        after = (await memory_check()() or {})["rssBytes"]

    assert after - before > 48 << 20


async def test_the_uptime_check_tells_since_when(clock: FakeClock) -> None:
    check = uptime_check(clock)
    await clock.advance(90.5)

    told = await check() or {}

    assert told["seconds"] == 90.5
    assert parse_rfc3339(told["startTime"]) == FakeClock().now()
