"""What the gateway keeps of answers, and what takes it away: events, changes through us, time. Nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.chassis.http_protocol import HttpProtocol, protocol_class
from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import FakeClock, Issuer, assert_bound, eventually, serving
from cortex_gateway.adapters import KeptAnswers
from cortex_gateway.dataplane import ExpressProtocol
from cortex_gateway.routes import ROUTES, RouteTable
from cortex_gateway.settings import Settings
from cortex_gateway.wiring import build

PRIVATE = [(b"etag", b'"v1"'), (b"cache-control", b"private, no-cache"), (b"content-type", b"application/json")]
COMPLETED = {"orderId": "ord_1", "customerId": "cus", "total": 1, "currency": "EUR", "processingTime": 0.5}


def completed(order_id: str, tenant: str = "public") -> CloudEvent:
    schema = "urn:cortex:event:order.completed/1"
    data = {**COMPLETED, "orderId": order_id}
    return CloudEvent("order.completed", "cortex/order", order_id, data, tenant=tenant, dataschema=schema)


class Orders:
    """An order service that counts what it is asked. While it has a gate, `ord_1` is told when that is open."""

    def __init__(self, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.headers = PRIVATE if headers is None else headers
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        self.version = 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        self.asked.append(scope["method"] + " " + scope["path"] + (f"?{query}" if query else ""))
        body = b'{"version":%d}' % self.version
        if self.gate is not None and scope["path"] == "/orders/ord_1":
            await self.gate.wait()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*self.headers, (b"content-length", b"13")]}
        )
        await send({"type": "http.response.body", "body": body})


Start = Callable[..., Any]


@pytest.fixture
def start(lane: str) -> Start:
    """`async with start(orders, bus, clock) as client`: a gateway whose time stands still."""

    @asynccontextmanager
    async def starting(orders: Any, bus: Any = None, clock: Any = None, **settings: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(serving(_alive(orders)))
            told = Settings(
                env="test",
                rate_limit_store="memory",
                rate_limit_per_minute=0,
                order_url=str(upstream._base_url).rstrip("/"),
                **settings,
            )
            app = build(told, clock=clock or FakeClock(), bus=bus or MemoryEventBus())
            base = ExpressProtocol if lane == "express" else HttpProtocol
            yield await stack.enter_async_context(serving(app, protocol=protocol_class(base, application=app)))

    return starting


def _alive(app: Any) -> Any:
    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            return await app(scope, receive, send)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return with_lifespan


async def get(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    """The status, and what the cache did."""
    async with client.get(path, headers=headers) as reply:
        await reply.read()
        return reply.status, reply.headers["Cache-Status"].partition("; ")[2].partition(";")[0]


HIT, MISS = (200, "hit"), (200, "fwd=uri-miss")
READ = ("/api/orders/ord_1", "/api/orders/ord_1/events", "/api/orders", "/api/orders?limit=1", "/api/orders/ord_2")


class TestKept:
    async def test_an_order_is_kept_though_the_service_says_private(self, start: Start) -> None:
        orders = Orders()
        async with start(orders) as client:
            assert [await get(client, "/api/orders/ord_1") for _ in range(3)] == [MISS, HIT, HIT]

        assert orders.asked == ["GET /orders/ord_1"]

    async def test_clients_see_what_the_service_says(self, start: Start) -> None:
        async with start(Orders()) as client:
            for _ in range(2):
                async with client.get("/api/orders/ord_1") as reply:
                    assert (reply.headers["Cache-Control"], reply.headers["ETag"]) == ("private, no-cache", '"v1"')

    async def test_who_has_it_is_answered_at_the_edge(self, start: Start) -> None:
        orders = Orders()
        async with start(orders) as client:
            await get(client, "/api/orders/ord_1")

            assert await get(client, "/api/orders/ord_1", **{"If-None-Match": 'W/"v1"'}) == (304, "hit")

        assert len(orders.asked) == 1

    async def test_one_answer_is_for_all_of_a_tenant_who_may_have_it(self, start: Start, tmp_path: Path) -> None:
        clock, orders = FakeClock(), Orders()
        issuer = Issuer(tmp_path, clock)
        async with start(orders, clock=clock, **issuer.settings(gateway=True)) as client:
            for sub, outcome in (("kim", MISS), ("lee", HIT)):
                told = await get(client, "/api/orders/ord_1", **issuer.headers(sub=sub, scope="orders:read"))
                assert told == outcome

            for _ in range(2):
                headers = issuer.headers(sub="mal", scope="files:read")
                async with client.get("/api/orders/ord_1", headers=headers) as reply:
                    assert reply.status == 403
            async with client.get("/api/orders/ord_1") as reply:
                assert reply.status == 401
        assert len(orders.asked) == 1

    async def test_tenants_share_nothing(self, start: Start) -> None:
        orders = Orders()
        async with start(orders, tenants=frozenset({"public", "acme"})) as client:
            await get(client, "/api/orders/ord_1")

            assert await get(client, "/api/orders/ord_1", **{"X-Cortex-Tenant": "acme"}) == MISS

    async def test_what_must_not_be_stored_is_not(self, start: Start) -> None:
        async with start(Orders([(b"cache-control", b"no-store")])) as client:
            assert [await get(client, "/api/orders/ord_1") for _ in range(2)] == [MISS, MISS]

    @pytest.mark.parametrize(("path", "ttl"), [("/api/orders", 1.0), ("/api/orders/ord_1", 2.0)])
    async def test_it_is_asked_for_anew_after_its_time(self, start: Start, path: str, ttl: float) -> None:
        clock, orders = FakeClock(), Orders()
        async with start(orders, clock=clock) as client:
            await get(client, path)
            await clock.advance(ttl - 0.01)
            assert await get(client, path) == HIT

            await clock.advance(0.01)

            assert await get(client, path) == (200, "fwd=stale")

    async def test_a_client_may_insist(self, start: Start) -> None:
        orders = Orders()
        async with start(orders) as client:
            await get(client, "/api/orders/ord_1")
            await get(client, "/api/orders/ord_1", **{"Cache-Control": "no-cache"})

        assert len(orders.asked) == 2


class TestEvents:
    async def test_an_event_takes_away_what_is_kept_of_its_order_and_of_the_list(self, start: Start) -> None:
        bus = MemoryEventBus()
        async with start(Orders(), bus) as client:
            for path in READ:
                await get(client, path)

            await bus.publish([completed("ord_1")])
            await eventually(lambda: _gone(client, READ[0]))

            gone = [path for path in READ if await get(client, path) != HIT]
        assert gone == [*READ[1:4]]

    async def test_what_another_tenant_has_stays(self, start: Start) -> None:
        bus = MemoryEventBus()
        async with start(Orders(), bus, tenants=frozenset({"public", "acme"})) as client:
            await get(client, "/api/orders/ord_1")
            await get(client, "/api/orders/ord_2")

            await bus.publish([completed("ord_1", tenant="acme"), completed("ord_2")])
            await eventually(lambda: _gone(client, "/api/orders/ord_2"))

            assert await get(client, "/api/orders/ord_1") == HIT

    async def test_what_was_asked_for_before_an_event_is_not_kept(self, start: Start) -> None:
        bus, orders = MemoryEventBus(), Orders()
        orders.gate = asyncio.Event()
        async with start(orders, bus) as client:
            await get(client, "/api/orders/ord_1/events")
            early = asyncio.create_task(get(client, "/api/orders/ord_1"))
            await eventually(lambda: len(orders.asked) == 2)
            await bus.publish([completed("ord_1")])
            await eventually(lambda: _gone(client, "/api/orders/ord_1/events"))
            orders.gate.set()
            await early

            assert (await get(client, "/api/orders/ord_1"))[1] != "hit"

    async def test_who_waits_for_an_answer_from_before_an_event_is_not_given_it(self, start: Start) -> None:
        bus, orders = MemoryEventBus(), Orders()
        orders.gate = asyncio.Event()
        async with start(orders, bus) as client:
            await get(client, "/api/orders/ord_1/events")
            early = asyncio.create_task(get(client, "/api/orders/ord_1"))
            await eventually(lambda: len(orders.asked) == 2)
            await bus.publish([completed("ord_1")])
            await eventually(lambda: _gone(client, "/api/orders/ord_1/events"))
            orders.version = 2
            late = asyncio.create_task(_body(client, "/api/orders/ord_1"))
            orders.gate.set()

            assert await late == b'{"version":2}'
            await early

    @pytest.mark.bound
    async def test_every_replica_hears_it(self, start: Start, redis_url: str) -> None:
        publisher = RedisEventBus(redis_url, consumer="test")
        orders = Orders()
        async with (
            start(orders, RedisEventBus(redis_url, consumer="one")) as one,
            start(orders, RedisEventBus(redis_url, consumer="two")) as two,
        ):
            for client in (one, two):
                await get(client, "/api/orders/ord_1")
                await get(client, "/api/orders/ord_2")

            began = time.monotonic()
            await publisher.publish([completed("ord_1")])

            await eventually(lambda: _gone(one, "/api/orders/ord_1"))
            await eventually(lambda: _gone(two, "/api/orders/ord_1"))
            assert_bound(time.monotonic() - began, 0.5)
            for client in (one, two):
                assert await get(client, "/api/orders/ord_2") == HIT
        await publisher.aclose()


class TestChanges:
    async def test_a_change_through_us_is_seen_at_once(self, start: Start) -> None:
        async with start(Orders()) as client:
            for path in READ:
                await get(client, path)

            async with client.post("/api/orders/ord_1/cancel") as reply:
                assert reply.status == 200

            gone = [path for path in READ if await get(client, path) != HIT]
        assert gone == [*READ[:4]]

    async def test_a_new_order_takes_the_lists_away(self, start: Start) -> None:
        async with start(Orders()) as client:
            for path in READ:
                await get(client, path)

            async with client.post("/api/orders", json={}) as reply:
                assert reply.status == 200

            gone = [path for path in READ if await get(client, path) != HIT]
        assert gone == ["/api/orders", "/api/orders?limit=1"]

    def test_what_is_not_in_the_table_changes_nothing(self) -> None:
        kept = KeptAnswers(RouteTable(ROUTES), 1 << 20, clock=FakeClock())

        assert [kept.changed_by("POST", path) for path in ("/api/nothing", "/api/orders/ord_1")] == [[], []]
        assert kept.changed_by("POST", "/api/storage/files") == []

    def test_nothing_is_kept_where_there_is_no_room(self) -> None:
        kept = KeptAnswers(RouteTable(ROUTES), 0, clock=FakeClock())

        assert kept.heard("public", "order.completed", "ord_1") == 0


async def _gone(client: aiohttp.ClientSession, path: str) -> bool:
    return (await get(client, path))[1] != "hit"


async def _body(client: aiohttp.ClientSession, path: str) -> bytes:
    async with client.get(path) as reply:
        return await reply.read()
