"""A service whose database is away at its start: up, not ready, and open by itself once it is there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI

from cortex_core.chassis import Config, Platform, create_app, use_cases
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import FakeClock, eventually, serving

router = APIRouter()


@router.get("/tea")
async def tea(use: str = Depends(use_cases)) -> dict[str, str]:
    return {"tea": use}


class WellIsDry(CortexError):
    code, kind, awaited = "well.dry", Kind.UNAVAILABLE, True


class KettleIsGone(CortexError):
    code, kind = "kettle.gone", Kind.UNAVAILABLE


@dataclass
class Well:
    """What the service stands on: raises what it is told to, once it has a health check of its own."""

    trouble: CortexError | None = None
    away: CortexError | None = None
    opened: int = 0
    closed: int = 0
    tasks: list[Any] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, platform: Platform) -> AsyncIterator[str]:
        platform.health.register("well", self.check)
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self.opened += 1
        self.tasks.append(asyncio.current_task())
        try:
            yield "earl grey"
        finally:
            self.tasks.append(asyncio.current_task())
            self.closed += 1

    async def check(self) -> dict[str, Any]:
        if self.away is not None:
            raise self.away
        return {}


@pytest.fixture
def well() -> Well:
    return Well()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def made(well: Well, clock: FakeClock) -> FastAPI:
    return create_app(Config(env="test"), running=well.running, routers=[router], bus=MemoryEventBus(), clock=clock)


async def asked(client: Any, path: str) -> tuple[int, Any]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def test_what_is_away_at_the_start_is_waited_for(well: Well, clock: FakeClock) -> None:
    well.trouble = WellIsDry("the well is dry")
    async with serving(made(well, clock)) as client:
        assert (await asked(client, "/health/live"))[0] == 200
        status, report = await asked(client, "/health/ready")
        assert (status, report["checks"]["start"]["error"]) == (503, "the well is dry")
        assert "well" not in report["checks"]
        status, problem = await asked(client, "/tea")
        assert (status, problem["code"]) == (503, "service.starting")

        well.trouble = None
        await clock.advance(seconds=1)

        assert (await asked(client, "/tea")) == (200, {"tea": "earl grey"})
        status, report = await asked(client, "/health/ready")
        assert (status, report["checks"]["well"]["status"]) == (200, "up")
    assert (well.opened, well.closed) == (1, 1)


async def test_the_figure_of_readiness_follows_it_and_the_drain_ends_it(well: Well, clock: FakeClock) -> None:
    """It is scraped while it waits, and its `up` is 1."""
    app = made(well, clock)
    figure = partial(app.state.platform.metrics.value, "cortex_hub_ready")
    assert figure() == 0

    well.trouble = WellIsDry("the well is dry")
    async with serving(app):
        await clock.advance(seconds=5)
        assert figure() == 0

        well.trouble = None
        await clock.advance(seconds=10)
        await eventually(lambda: figure() == 1)

        app.state.platform.drain.begin()
        assert figure() == 0
        await clock.advance(seconds=10)
        assert figure() == 0


async def test_what_goes_away_later_is_seen_within_seconds(well: Well, clock: FakeClock) -> None:
    app = made(well, clock)
    figure = partial(app.state.platform.metrics.value, "cortex_hub_ready")
    async with serving(app):
        await eventually(lambda: figure() == 1)

        well.away = WellIsDry("somebody took the water")
        await clock.advance(seconds=5)

        await eventually(lambda: figure() == 0)


async def test_it_is_told_once_then_when_it_changes_and_each_minute(
    well: Well, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines() -> list[str]:
        return [line for line in capsys.readouterr().out.splitlines() if '"not ready"' in line]

    well.trouble = WellIsDry("the well is dry")
    async with serving(made(well, clock)):
        for _ in range(10):
            await clock.advance(seconds=1)
        assert [("well is dry" in line, "WellIsDry" in line) for line in lines()] == [(True, True)]

        well.trouble = WellIsDry("the well is frozen")
        for _ in range(10):
            await clock.advance(seconds=1)
        assert ["well is frozen" in line for line in lines()] == [True]

        for _ in range(61):
            await clock.advance(seconds=1)
        assert ["well is frozen" in line for line in lines()] == [True]


async def test_what_nothing_would_mend_ends_it(well: Well, clock: FakeClock) -> None:
    well.trouble = KettleIsGone("the kettle is gone")

    with pytest.raises(KettleIsGone):
        async with serving(made(well, clock)):
            pass


async def test_what_it_turns_to_while_it_is_waited_for_is_told_and_waited_for(well: Well, clock: FakeClock) -> None:
    """It is up by now, and stays: an end would be a restart, and the next start says the same."""
    well.trouble = WellIsDry("the well is dry")
    async with serving(made(well, clock)) as client:
        well.trouble = KettleIsGone("the kettle is gone")
        await clock.advance(seconds=1)
        assert (await asked(client, "/health/ready"))[1]["checks"]["start"]["error"] == "the kettle is gone"

        well.trouble = None
        await clock.advance(seconds=1)
        assert (await asked(client, "/tea"))[0] == 200


async def test_the_end_does_not_wait_for_it(well: Well, clock: FakeClock) -> None:
    well.trouble = WellIsDry("the well is dry")

    async with asyncio.timeout(20), serving(made(well, clock)):
        pass

    assert well.opened == 0


async def test_what_was_opened_is_closed_by_the_same_task(well: Well, clock: FakeClock) -> None:
    well.trouble = WellIsDry("the well is dry")
    async with serving(made(well, clock)):
        well.trouble = None
        await clock.advance(seconds=1)

    first, last = well.tasks
    assert first is last
