"""A service made by the chassis: probes, metrics, context, background work, consumers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import pytest
from aiohttp import ClientSession
from fastapi import APIRouter, FastAPI

from cortex_core.chassis import Config, Platform, consume, create_app, on
from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import CortexError, Delivered, Kind, current
from cortex_core.testing import eventually, serving


@dataclass(frozen=True)
class Boiled:
    type: ClassVar[str] = "kettle.boiled"
    schema_version: ClassVar[int] = 1
    litres: int

    @classmethod
    def of(cls, data: Any) -> Self:
        return cls(int(data["litres"]))


@dataclass(frozen=True)
class NoteBoil:
    noted: list[Delivered[Boiled]] = field(default_factory=list)

    async def __call__(self, event: Delivered[Boiled]) -> None:
        self.noted.append(event)


@dataclass(frozen=True)
class UseCases:
    note: NoteBoil


class PumpIsOff(CortexError):
    code, kind = "pump.off", Kind.UNAVAILABLE


router = APIRouter()


@router.get("/context")
async def context() -> dict[str, Any]:
    here = current()
    return {"tenant": here.tenant, "requestId": here.request_id, "traceId": here.trace and here.trace.trace_id}


@dataclass
class Kettle:
    """The app under test, and what it stands on."""

    app: FastAPI
    bus: MemoryEventBus
    use_cases: UseCases
    client: ClientSession
    platform: Platform


@pytest.fixture
async def kettle() -> AsyncIterator[Kettle]:
    bus, use_cases = MemoryEventBus(), UseCases(NoteBoil())

    @asynccontextmanager
    async def running(platform: Platform) -> AsyncIterator[UseCases]:
        yield use_cases

    catalog = {"kettle.boiled": Boiled, "kettle.cooled": None}
    app = create_app(
        Config(env="test"),
        running=running,
        routers=[router],
        consumers=consume(on(Boiled, NoteBoil), catalog=catalog),
        bus=bus,
    )
    async with serving(app) as client:
        yield Kettle(app, bus, use_cases, client, app.state.platform)


async def checks(kettle: Kettle, path: str = "/health") -> tuple[int, Mapping[str, Any]]:
    answer = await kettle.client.get(path)
    return answer.status, await answer.json()


async def test_health_reports_what_is_registered_by_default(kettle: Kettle) -> None:
    status, report = await checks(kettle)

    assert (status, report["status"]) == (200, "up")
    assert {"memory", "uptime", "event-bus"} <= set(report["checks"])
    assert report["checks"]["event-bus"]["subscribers"] == 1
    assert report["timestamp"].endswith("Z")


async def test_what_is_needed_and_down_makes_it_unready_but_alive(kettle: Kettle) -> None:
    async def pump() -> None:
        raise PumpIsOff("the pump is off")

    kettle.platform.health.register("pump", pump)

    ready, live, health = (
        await checks(kettle, "/health/ready"),
        await checks(kettle, "/health/live"),
        await checks(kettle),
    )
    assert ready[0] == 503
    assert ready[1]["checks"]["pump"]["status"] == "down"
    assert ready[1]["checks"]["pump"]["error"] == "the pump is off"
    assert (live[0], health[0]) == (200, 200)


async def test_what_is_not_critical_only_degrades(kettle: Kettle) -> None:
    async def pump() -> None:
        raise PumpIsOff("the pump is off")

    kettle.platform.health.register("pump", pump, critical=False)

    assert (await checks(kettle, "/health/ready"))[0] == 200
    assert (await checks(kettle))[1]["status"] == "degraded"


async def test_a_background_task_that_ends_is_seen(kettle: Kettle) -> None:
    async def short() -> None:
        return

    kettle.platform.background(short, name="short-lived")

    async def unready() -> bool:
        return (await checks(kettle, "/health/ready"))[0] == 503

    await eventually(unready)
    assert "short-lived" in (await checks(kettle))[1]["checks"]["background"]["error"]


async def test_a_request_is_counted_under_its_template(kettle: Kettle) -> None:
    await kettle.client.get("/context")
    await kettle.client.get("/no/such/path/1")
    await kettle.client.get("/no/such/path/2")

    text = await (await kettle.client.get("/metrics")).text()
    assert 'cortex_hub_http_requests_total{method="GET",route="/context",service="service",status="200"} 1.0' in text
    assert 'cortex_hub_http_requests_total{method="GET",route="unmatched",service="service",status="404"} 2.0' in text
    assert "process_resident_memory_bytes" in text
    assert "process_cpu_seconds_total" in text


async def test_the_callers_trace_and_request_id_go_on(kettle: Kettle) -> None:
    headers = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01", "X-Request-Id": "r-1"}

    answer = await kettle.client.get("/context", headers=headers)

    assert await answer.json() == {"tenant": "public", "requestId": "r-1", "traceId": "c" * 32}
    assert answer.headers["X-Request-Id"] == "r-1"


async def test_a_consumer_gets_typed_facts(kettle: Kettle) -> None:
    event = CloudEvent("kettle.boiled", "kettle", "kettle-1", {"litres": 2}, tenant="acme", version=3)

    await kettle.bus.publish([event])

    await eventually(lambda: kettle.use_cases.note.noted)
    fact = kettle.use_cases.note.noted[0]
    assert (fact.id, fact.tenant, fact.subject, fact.version, fact.data) == (event.id, "acme", "kettle-1", 3, Boiled(2))


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (CloudEvent("kettle.exploded", "kettle", "k", {}), "event.unknown"),
        (CloudEvent("kettle.boiled", "kettle", "k", {"litres": 1}, dataschema="urn:x/2"), "event.unknown"),
        (CloudEvent("kettle.boiled", "kettle", "k", {"litres": "many"}), "event.malformed"),
    ],
)
async def test_what_cannot_be_taken_is_a_dead_letter(kettle: Kettle, event: CloudEvent, code: str) -> None:
    await kettle.bus.publish([event])

    async def dead() -> list[str]:
        return [letter.code for letter in await kettle.bus.dead_letters("service")]

    await eventually(dead)
    assert await dead() == [code]
    assert kettle.use_cases.note.noted == []


async def test_a_known_type_without_a_use_case_is_passed_over(kettle: Kettle) -> None:
    await kettle.bus.publish(
        [CloudEvent("kettle.cooled", "kettle", "k", {}), CloudEvent("kettle.boiled", "kettle", "k", {"litres": 1})]
    )

    await eventually(lambda: kettle.use_cases.note.noted)
    assert await kettle.bus.dead_letters("service") == []


async def test_a_table_that_names_a_missing_use_case_does_not_start() -> None:
    @asynccontextmanager
    async def running(platform: Platform) -> AsyncIterator[UseCases]:
        yield UseCases(NoteBoil())

    class Unwired:
        async def __call__(self, event: Delivered[Boiled]) -> None: ...

    app = create_app(
        Config(env="test"),
        running=running,
        routers=[],
        consumers=consume(on(Boiled, Unwired), catalog={}),
        bus=MemoryEventBus(),
    )

    with pytest.raises(LookupError, match="Unwired"):
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0)
