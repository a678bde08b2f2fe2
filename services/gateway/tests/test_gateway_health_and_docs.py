"""What the gateway tells about the hub: health of the six, one API description, pages that need no network."""

import asyncio
import re
import time
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from cortex_core.chassis import Config, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.testing import FakeClock, assert_bound
from cortex_gateway.domain import merge
from cortex_gateway.routes import ROUTES

EVERYWHERE = {"400", "406", "408", "413", "414", "417", "421", "429", "431", "500", "501", "502", "503", "504", "505"}
UP = {"status": "up", "timestamp": "2026-11-23T12:00:00.000000Z", "checks": {"memory": {"status": "up"}}}


def service(health: Any = UP, document: Any = None) -> Any:
    """A service that answers `/health` and `/openapi.json`. `asked` counts by path."""
    asked: dict[str, int] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked[scope["path"]] = asked.get(scope["path"], 0) + 1
        body = health if scope["path"] == "/health" else document
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200 if body else 404, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(body)})

    app.asked = asked  # type: ignore[attr-defined]
    return app


def document(path: str, **schemas: Any) -> dict[str, Any]:
    operation = {"operationId": "run", "responses": {"200": {"description": "Fine"}}}
    paths = {path: {"get": operation}, "/health": {"get": operation}}
    return {"openapi": "3.1.0", "info": {}, "paths": paths, "components": {"schemas": schemas}}


class TestHealth:
    async def test_the_six_are_up(self, start_gateway: Any) -> None:
        names = ("order", "notification", "analytics", "storage", "compute")
        services = {name: service() for name in names}
        async with start_gateway(**services) as client, client.get("/health") as reply:
            report = await reply.json()

        assert (reply.status, report["status"]) == (200, "up")
        assert {"gateway", *names, "memory", "uptime", "event-bus"} <= report["checks"].keys()
        order = report["checks"]["order"]
        assert (order["status"], order["checks"]) == ("up", {"memory": "up"})
        assert order["durationMs"] > 0

    async def test_how_a_services_key_store_is_can_be_seen(self, start_gateway: Any) -> None:
        """Its name is no secret's: what hides secrets leaves it alone."""
        limping = {**UP, "status": "degraded", "checks": {"key-store": {"status": "down"}}}
        async with start_gateway(order=service(limping)) as client, client.get("/health") as reply:
            assert (await reply.json())["checks"]["order"]["checks"] == {"key-store": "down"}

    async def test_one_that_is_down_and_one_that_limps_degrade_the_whole(self, start_gateway: Any) -> None:
        limping = {**UP, "status": "degraded", "checks": {"event-bus": {"status": "down"}}}
        services = {"order": service(), "storage": service(limping)}
        async with start_gateway(**services) as client, client.get("/health") as reply:
            report = await reply.json()

        assert report["status"] == "degraded"
        assert report["checks"]["order"]["status"] == "up"
        assert report["checks"]["storage"]["status"] == "degraded"
        assert report["checks"]["storage"]["checks"] == {"event-bus": "down"}
        assert report["checks"]["compute"]["status"] == "down"
        assert "compute service" in report["checks"]["compute"]["error"]

    @pytest.mark.parametrize("nonsense", [[], {"status": "splendid", "checks": {}}, {"status": "up"}, "up"])
    async def test_a_report_that_makes_no_sense_is_down(self, start_gateway: Any, nonsense: Any) -> None:
        async with start_gateway(order=service(nonsense)) as client, client.get("/health") as reply:
            assert (await reply.json())["checks"]["order"]["status"] == "down"

    @pytest.mark.bound
    async def test_those_that_hang_cost_one_second_together(self, start_gateway: Any, real_bounds: None) -> None:
        async def hung(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await receive()

        async with start_gateway(order=hung, storage=hung, compute=hung) as client:
            began = time.monotonic()
            async with client.get("/health") as reply:
                report = await reply.json()

        assert_bound(time.monotonic() - began, 1.6)
        assert [report["checks"][name]["status"] for name in ("order", "storage", "compute")] == ["down"] * 3
        assert report["checks"]["gateway"]["status"] == "up"

    async def test_the_gateway_is_ready_with_every_service_down(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            for path in ("/health/ready", "/health/live"):
                async with client.get(path) as reply:
                    assert (reply.status, (await reply.json())["status"]) == (200, "up")


class TestOpenApi:
    async def test_each_services_routes_stand_under_the_prefix(self, start_gateway: Any) -> None:
        paths = {"order": "/orders", "storage": "/storage/files/{id}"}
        services = {name: service(document=document(path)) for name, path in paths.items()}
        async with start_gateway(**services) as client, client.get("/openapi.json") as reply:
            told = await reply.json()

        assert {"/api/orders", "/api/storage/files/{id}", "/health/live", "/metrics"} <= told["paths"].keys()
        assert "/api/health" not in told["paths"]
        operation = told["paths"]["/api/orders"]["get"]
        assert (operation["operationId"], operation["tags"]) == ("order_run", ["order"])
        assert operation["responses"].keys() == {"200", *EVERYWHERE, "401", "403", "206", "304", "416"}
        assert told["x-cortex-unavailable"] == ["notification", "analytics", "compute"]

    async def test_a_service_is_asked_once_in_a_while(self, start_gateway: Any) -> None:
        order = service(document=document("/orders"))
        async with start_gateway(order=order) as client:
            for _ in range(3):
                async with client.get("/openapi.json") as reply:
                    assert "/api/orders" in (await reply.json())["paths"]

        assert order.asked == {"/openapi.json": 1}

    async def test_a_service_that_was_down_is_asked_again(self, start_gateway: Any) -> None:
        waking = service(document=None)
        async with start_gateway(order=waking) as client:
            for _ in range(2):
                async with client.get("/openapi.json") as reply:
                    assert "order" in (await reply.json())["x-cortex-unavailable"]

        assert waking.asked == {"/openapi.json": 2}

    async def test_a_document_that_is_none_is_left_out(self, start_gateway: Any) -> None:
        broken = service(document=["not", "one"])
        async with start_gateway(order=broken) as client, client.get("/openapi.json") as reply:
            assert "order" in (await reply.json())["x-cortex-unavailable"]

    async def test_every_reference_leads_somewhere_and_every_id_is_its_own(self, start_gateway: Any) -> None:
        class Item(BaseModel):
            name: str

        router = APIRouter()

        @router.post("/orders")
        async def place(item: Item) -> Item:
            return item

        @asynccontextmanager
        async def running(platform: Any) -> Any:
            yield None

        real = create_app(Config(env="test"), running=running, routers=[router], bus=MemoryEventBus())
        real.openapi()  # made once, and kept: however slow the machine, the gateway does not wait for it
        async with start_gateway(order=real) as client, client.get("/openapi.json") as reply:
            text = await reply.text()

        told = orjson.loads(text)
        for reference in re.findall(r'"\$ref":"#/([^"]+)"', text):
            place_in_document = told
            for part in reference.split("/"):
                place_in_document = place_in_document[part]
        ids = [op["operationId"] for item in told["paths"].values() for op in item.values()]
        assert "Item" in told["components"]["schemas"]
        assert len(ids) == len(set(ids))
        assert told["openapi"].startswith("3.1")

    def test_schemas_of_one_name_are_shared_when_equal_and_told_apart_when_not(self) -> None:
        own = document("/health/live", Problem={"type": "object"})
        ref = {"$ref": "#/components/schemas/Item"}
        order = document("/orders", Problem={"type": "object"}, Item={"title": "order's"}, List={"items": ref})
        storage = document("/storage/files", Problem={"type": "object"}, Item={"title": "file's"}, Files={"items": ref})

        both = {"order": order, "storage": storage}
        merged = merge(own, both, prefix="/api", found=lambda *_: ROUTES[0])

        schemas = merged["components"]["schemas"]
        assert schemas.keys() == {"Problem", "Item", "List", "storage.Item", "Files"}
        assert schemas["List"] == {"items": ref}
        assert schemas["Files"] == {"items": {"$ref": "#/components/schemas/storage.Item"}}
        assert own["components"]["schemas"].keys() == {"Problem"}  # what was given is not changed


class TestDocs:
    async def test_the_page_and_all_it_loads_come_from_here(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            async with client.get("/docs") as reply:
                page = await reply.text()
            links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
            assert len(links) >= 3
            for link in links:
                assert "//" not in link
                async with client.get(f"/{link}") as asset:
                    assert asset.status == 200

        assert "'openapi.json'" in page or '"openapi.json"' in page


async def test_two_reports_at_a_time_do_not_disturb_each_other(start_gateway: Any) -> None:
    async with start_gateway(order=service()) as client:

        async def status() -> str:
            async with client.get("/health") as reply:
                return str((await reply.json())["checks"]["order"]["status"])

        assert await asyncio.gather(*(status() for _ in range(5))) == ["up"] * 5


async def test_whoever_asks_in_a_loop_asks_no_service_more_than_once_a_second(start_gateway: Any) -> None:
    order, clock = service(), FakeClock()
    async with start_gateway(None, {"clock": clock}, order=order) as client:

        async def report() -> Any:
            async with client.get("/health") as reply:
                return await reply.json()

        first = await asyncio.gather(*(report() for _ in range(5)))
        again = await report()
        assert order.asked["/health"] == 1
        assert {each["timestamp"] for each in (*first, again)} == {first[0]["timestamp"]}

        await clock.advance(1)
        assert (await report())["timestamp"] > first[0]["timestamp"]
        assert order.asked["/health"] == 2
