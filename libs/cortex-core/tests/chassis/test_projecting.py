"""What a projector tells, as metrics; and its place in the health report. A service of one projection."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from cortex_core.chassis import Config, Platform, create_app, projecting, projector_of, service_config
from cortex_core.chassis.projecting import ProjectionReporter
from cortex_core.events import MemoryEventBus
from cortex_core.eventsourcing import MemoryEventStore, Progress, ProjectionTrouble, Projector, Stage
from cortex_core.observability import Logger, MetricsCollector, configure_logging
from cortex_core.observability import logging as ours
from cortex_core.testing import FakeClock, eventually, serving
from cortex_core.testing.contracts.eventstore.projections import CannotBe, work_off
from cortex_core.testing.contracts.eventstore.tally import MemoryTally
from cortex_core.testing.contracts.eventstore.terms import placed


class TeaSettings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that this process logs."""
    root, before = logging.getLogger(), dict(vars(ours._output))
    level, handlers = root.level, list(root.handlers)
    stream = io.StringIO()
    configure_logging(service="tea", level="debug", stream=stream)
    yield stream
    configure_logging(service="tea")
    root.handlers[:], root.level = handlers, level
    vars(ours._output).update(before)


@pytest.fixture
def tally() -> MemoryTally:
    return MemoryTally()


@asynccontextmanager
async def served(store: MemoryEventStore, tally: MemoryTally, clock: FakeClock) -> AsyncIterator[Any]:
    @asynccontextmanager
    async def running(platform: Platform) -> AsyncIterator[None]:
        async with projecting(projector_of(store, tally, platform), platform):
            yield

    app = create_app(TeaSettings(env="test"), running=running, routers=[], clock=clock, bus=MemoryEventBus(clock=clock))
    async with serving(app) as session:
        yield session


@pytest.fixture
async def client(store: MemoryEventStore, tally: MemoryTally, clock: FakeClock) -> AsyncIterator[Any]:
    async with served(store, tally, clock) as session:
        yield session


async def check(client: Any) -> dict[str, Any]:
    async with client.get("/health") as answer:
        found: dict[str, Any] = (await answer.json())["checks"]["projection tally"]
        return found


async def test_a_projection_is_kept_up_and_says_how_far_it_is(client: Any, store: MemoryEventStore, tally: Any) -> None:
    await store.append("a", [placed(1), placed(2)], expected_version=0)
    await eventually(lambda: tally.rows(1))

    found = await check(client)

    assert found.pop("durationMs") >= 0
    assert found == {
        "status": "up",
        "generation": 1,
        "position": 2,
        "lag": 0,
        "lagSeconds": 0.0,
        "parked": 0,
        "building": [],
    }


async def test_a_stream_that_was_set_aside_degrades_the_service_and_no_more(
    client: Any, store: MemoryEventStore, tally: MemoryTally
) -> None:
    tally.faults[1] = CannotBe("one")
    await store.append("a", [placed(1)], expected_version=0)
    await store.append("b", [placed(2)], expected_version=0)
    await eventually(lambda: tally.rows(1))

    found = await check(client)
    async with client.get("/health/ready") as ready, client.get("/metrics") as metrics:
        text = await metrics.text()

    assert (found["status"], found["parked"], ready.status) == ("degraded", 1, 200)
    assert 'cortex_projection_parked{projection="tally"} 1.0' in text
    assert 'cortex_projection_troubles_total{code="tally.cannot-be",projection="tally"} 1.0' in text
    assert 'cortex_projection_lag_positions{projection="tally"} 0.0' in text


async def test_one_that_is_far_behind_is_degraded(
    client: Any, store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    await eventually(lambda: store._watchers)
    store._watchers.clear()
    tally.faults[1] = ConnectionError("the table is away")
    await store.append("a", [placed(1)], expected_version=0)
    await clock.advance(11)

    found = await check(client)
    store._watchers.append(lambda: None)

    assert (found["status"], found["lag"], found["lagSeconds"]) == ("degraded", 1, 11.0)


@pytest.mark.parametrize(("age", "status"), [(10, "up"), (11, "degraded")])
async def test_one_that_only_newer_code_would_move_is_degraded_once_it_is_late(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, age: int, status: str
) -> None:
    """As after a roll-back of the code. Nothing fails, and nothing moves."""
    tally.version = 2
    await work_off(Projector(store, tally, clock=clock))
    await store.append("a", [placed(1)], expected_version=0)
    tally.version = 1
    async with served(store, tally, clock) as client:
        await clock.advance(age)

        found = await check(client)
        async with client.get("/metrics") as metrics:
            text = await metrics.text()

    assert (found["status"], found["lag"], found["lagSeconds"], found["parked"]) == (status, 1, float(age), 0)
    assert f'cortex_projection_lag_seconds{{projection="tally"}} {float(age)}' in text


def test_gauges_are_of_the_live_generation_and_events_of_each_stage() -> None:
    metrics = MetricsCollector()
    reporter = ProjectionReporter(metrics, Logger.get("tea"))

    reporter.on_progress(Progress("tally", 1, Stage.LIVE, position=10, lag=2, behind=1.5, events=10, parked=3))
    reporter.on_progress(Progress("tally", 2, Stage.BUILDING, position=4, lag=8, behind=90.0, events=4))

    text = metrics.to_prometheus_format()
    assert 'cortex_projection_lag_positions{projection="tally"} 2.0' in text
    assert 'cortex_projection_lag_seconds{projection="tally"} 1.5' in text
    assert 'cortex_projection_parked{projection="tally"} 3.0' in text
    assert 'cortex_projection_events_total{projection="tally",stage="live"} 10.0' in text
    assert 'cortex_projection_events_total{projection="tally",stage="building"} 4.0' in text


def test_an_outage_is_one_story_and_not_a_thousand(lines: io.StringIO) -> None:
    metrics = MetricsCollector()
    reporter = ProjectionReporter(metrics, Logger.get("tea"))

    for attempt in range(1, 101):
        reporter.on_trouble(ProjectionTrouble("tally", 1, 7, attempt, 0.1, CannotBe("canary")))

    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["event"], line["attempt"], line["code"]) for line in told] == [
        ("projection in trouble", attempt, "tally.cannot-be") for attempt in (1, 10, 100)
    ]
    assert "canary" not in lines.getvalue()
    assert 'cortex_projection_troubles_total{code="tally.cannot-be",projection="tally"} 100.0' in (
        metrics.to_prometheus_format()
    )
