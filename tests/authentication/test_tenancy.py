"""What is one tenant's is not another's: every route of the table, for two tenants, in both lanes, the later reads hot.

Two tenants do the same, each with its own things. What one of them is told shows its own marks and none of the other's;
what is addressed by the other's name is not there. A route without an entry below fails.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import aiohttp
import pytest
from PIL import Image

from cortex_core.events import MemoryEventBus
from cortex_core.security import SCOPES
from cortex_core.testing import Issuer, eventually
from cortex_gateway.routes import ROUTES, SOCKETS, Route

TENANTS: Final = ("public", "acme")
"""`public` is what somebody without a tenant is of: what a forgotten tenant falls back to."""

ORDERS: Final = {"public": 2, "acme": 1}  # how many each places: figures that nobody can take for the other's


@dataclass
class Tenant:
    """One tenant's things. `marks` are texts that occur in what is its own and nowhere else."""

    name: str
    headers: dict[str, str]
    orders: list[str] = field(default_factory=list)
    cid: str = ""

    @property
    def content(self) -> str:
        return f"a secret of {self.name}"

    @property
    def marks(self) -> list[str]:
        return [*self.orders, self.cid, self.content, f"cus_{self.name}"]

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        return [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]


@dataclass(frozen=True)
class Reading:
    """`path` of what is `whose`; `own` says whether an answer is that tenant's. `listed`: the other has his own there;
    else he is told 404."""

    path: Callable[[Tenant], str]
    own: Callable[[Tenant, Any], bool]
    listed: bool = False


READINGS: Final = {
    "/api/orders": Reading(lambda _: "/api/orders", lambda of, body: of.orders[0] in json.dumps(body), listed=True),
    "/api/orders/{orderId}": Reading(
        lambda of: f"/api/orders/{of.orders[0]}", lambda of, body: body["orderId"] == of.orders[0]
    ),
    "/api/orders/{orderId}/events": Reading(
        lambda of: f"/api/orders/{of.orders[0]}/events", lambda of, body: f"cus_{of.name}" in json.dumps(body)
    ),
    "/api/analytics/metrics": Reading(
        lambda _: "/api/analytics/metrics",
        lambda of, body: bool(body["orders"]["created"] == ORDERS[of.name]),
        listed=True,
    ),
    "/api/storage/files": Reading(
        lambda _: "/api/storage/files", lambda of, body: of.cid in json.dumps(body), listed=True
    ),
    "/api/storage/files/{cid}": Reading(
        lambda of: f"/api/storage/files/{of.cid}", lambda of, body: body == of.content.encode()
    ),
}

WRITINGS: Final = {
    "/api/orders": "test_one_idempotency_key_of_two_tenants_is_two",
    "/api/orders/{orderId}/cancel": "test_nobody_cancels_another_tenant_s_order",
    "/api/storage/files": "test_the_same_file_of_two_tenants_is_one_of_each",
    "/api/compute/images": "test_a_live_client_hears_of_its_own_tenant",
}
SOCKET_TESTS: Final = {"/ws": "test_a_live_client_hears_of_its_own_tenant"}


def picture() -> bytes:
    out = BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    return out.getvalue()


def order_of(tenant: Tenant) -> dict[str, Any]:
    items = [{"sku": "book", "quantity": 2, "unitPrice": 1250}]
    return {"customerId": f"cus_{tenant.name}", "currency": "EUR", "items": items, "paymentToken": "tok_ok"}


class Hub:
    """The gateway's both lanes, and a client for all else."""

    def __init__(self, gateway: Any, wire: Any, http: aiohttp.ClientSession, tenants: list[Tenant]) -> None:
        self.gateway = gateway
        self.lanes = {"asgi": gateway, "express": wire}
        self.http = http
        self.public, self.acme = self.tenants = tenants

    async def send(self, tenant: Tenant, path: str, *, method: str = "POST", **sent: Any) -> tuple[int, Any]:
        headers = {**tenant.headers, **sent.pop("headers", {})}
        async with self.http.request(method, path, headers=headers, **sent) as reply:
            body = await reply.read()
            return reply.status, json.loads(body) if "json" in reply.content_type else body

    async def furnish(self, tenant: Tenant) -> None:
        for _ in range(ORDERS[tenant.name]):
            status, order = await self.send(tenant, "/api/orders", json=order_of(tenant))
            assert status == 201, order
            tenant.orders.append(order["orderId"])
        text = {"Content-Type": "text/plain"}
        status, file = await self.send(tenant, "/api/storage/files", data=tenant.content.encode(), headers=text)
        assert status == 201, file
        tenant.cid = file["cid"]

    async def counted(self) -> bool:
        """Whether analytics has heard of all orders."""
        path = "/api/analytics/metrics"
        told = [(tenant, await self.gateway.ask("GET", path, tenant.pairs)) for tenant in self.tenants]
        return all(READINGS[path].own(tenant, reply.body) for tenant, reply in told)


async def opened(start_hub: Any, line: Any, issuer: Issuer, bus: MemoryEventBus) -> AsyncIterator[Hub]:
    """Both tenants have their things."""
    scope = " ".join(sorted(SCOPES))
    tenants = [Tenant(name, issuer.headers(sub="kim", scope=scope, tenant=name)) for name in TENANTS]
    shared = {"tenants": frozenset(TENANTS), "bus": bus}
    async with start_hub(shared=shared) as gateway, aiohttp.ClientSession(gateway.app.state.base_url) as http:
        with closing(line(gateway)) as wire:
            hub = Hub(gateway, wire, http, tenants)
            for tenant in tenants:
                await hub.furnish(tenant)
            await eventually(hub.counted, 60)
            yield hub


@pytest.fixture
async def hub(start_hub: Any, line: Any, issuer: Issuer, shared_bus: MemoryEventBus) -> AsyncIterator[Hub]:
    async with aclosing(opened(start_hub, line, issuer, shared_bus)) as hubs:
        async for hub in hubs:
            yield hub


def wrong(reading: Reading, whose: Tenant, asking: Tenant, reply: Any) -> str | None:
    """What an answer to `asking`, of what is `whose`, should not have been."""
    text = f"{reply.body!r}"
    others = [mark for tenant in (whose, asking) if tenant is not asking for mark in tenant.marks]
    if any(mark in text for mark in others if reply.status == 200):
        return f"shows what is not its own: {text[:200]}"
    if whose is asking or reading.listed:
        return None if reply.status == 200 and reading.own(asking, reply.body) else f"{reply.status} {text[:200]}"
    return None if reply.status == 404 else f"{reply.status}, not 404"


def is_hot(reply: Any) -> bool:
    fields = {name.lower(): value for name, value in reply.headers.items()}
    return "lane=express" in fields["cortex-policy"] and "hit" in fields.get("cache-status", "")


def readable() -> list[Route]:
    return [route for route in ROUTES if "GET" in route.methods]


def test_every_route_has_its_row() -> None:
    assert {route.path for route in readable()} == READINGS.keys()
    assert {route.path for route in ROUTES if "POST" in route.methods} == WRITINGS.keys()
    assert {route.path for route in SOCKETS} == SOCKET_TESTS.keys()
    assert {method for route in ROUTES for method in route.methods} == {"GET", "HEAD", "POST"}
    assert {*WRITINGS.values(), *SOCKET_TESTS.values()} <= globals().keys()


async def test_nobody_reads_what_is_another_tenant_s(hub: Hub) -> None:
    """In each lane, whoever was first: the other asks when the answer is kept, and is hot."""
    found = []
    for route in readable():
        reading = READINGS[route.path]
        for whose, other in ((hub.public, hub.acme), (hub.acme, hub.public)):
            path = reading.path(whose)
            for lane in ("asgi", "express", "asgi", "express"):
                for asking in (whose, other, whose):
                    reply = await hub.lanes[lane].ask("GET", path, asking.pairs)
                    if problem := wrong(reading, whose, asking, reply):
                        found.append(f"{lane} {path} of {whose.name} to {asking.name}: {problem}")
            head = await hub.lanes["express"].ask("HEAD", path, other.pairs)
            if head.status != (200 if reading.listed else 404):
                found.append(f"HEAD {path} of {whose.name} to {other.name}: {head.status}")

    assert found == []


async def test_what_is_hot_for_one_tenant_is_not_for_another(hub: Hub) -> None:
    """Of every route whose answers are kept: the express lane answers from memory, each tenant its own."""
    found, wire = [], hub.lanes["express"]
    for route in readable():
        if route.caching is None:
            continue
        reading = READINGS[route.path]
        for whose, other in ((hub.public, hub.acme), (hub.acme, hub.public)):
            path = reading.path(whose)

            async def hot(path: str = path, whose: Tenant = whose) -> bool:
                return is_hot(await wire.ask("GET", path, whose.pairs))

            await eventually(hot, 60)
            for asking in (other, whose, other):
                reply = await wire.ask("GET", path, asking.pairs)
                if problem := wrong(reading, whose, asking, reply):
                    found.append(f"{path} of {whose.name} to {asking.name}: {problem}")

    assert found == []


async def test_nobody_cancels_another_tenant_s_order(hub: Hub) -> None:
    for whose, other in ((hub.public, hub.acme), (hub.acme, hub.public)):
        path = f"/api/orders/{whose.orders[0]}/cancel"
        for lane in ("asgi", "express"):
            reply = await hub.lanes[lane].ask("POST", path, other.pairs)
            assert reply.status == 404, reply.body
        assert (await hub.send(whose, path))[0] != 404


async def test_one_idempotency_key_of_two_tenants_is_two(hub: Hub) -> None:
    same = {"Idempotency-Key": "k1"}
    body = order_of(hub.public)
    placed = [(await hub.send(each, "/api/orders", json=body, headers=same))[1]["orderId"] for each in hub.tenants * 2]

    assert placed[:2] == placed[2:]
    assert placed[0] != placed[1]


async def test_the_same_file_of_two_tenants_is_one_of_each(hub: Hub) -> None:
    text = {"Content-Type": "text/plain"}
    status, file = await hub.send(hub.public, "/api/storage/files", data=b"the same", headers=text)
    assert status == 201
    assert (await hub.send(hub.acme, f"/api/storage/files/{file['cid']}", method="GET"))[0] == 404

    status, again = await hub.send(hub.acme, "/api/storage/files", data=b"the same", headers=text)
    assert (status, again["cid"]) == (201, file["cid"])


async def test_a_live_client_hears_of_its_own_tenant(hub: Hub) -> None:
    """Each tenant's events reach the other's client before what is waited for there, or never."""
    image = "/api/compute/images?operation=grayscale"
    async with AsyncExitStack() as stack:
        for tenant, other in ((hub.acme, hub.public), (hub.public, hub.acme)):
            mine, theirs = [
                await stack.enter_async_context(hub.http.ws_connect("/ws", headers=each.headers))
                for each in (tenant, other)
            ]
            before = set(other.orders)
            status, told = await hub.send(tenant, image, data=picture(), headers={"Content-Type": "image/png"})
            assert status == 200, told
            await hub.furnish(tenant)
            await _until(mine, {("image.processed", None), ("order.created", tenant.orders[-1])})
            await hub.furnish(other)

            frames = await _until(theirs, {("order.created", each) for each in other.orders if each not in before})
            assert "image.processed" not in {frame["type"] for frame in frames}
            assert [mark for mark in tenant.orders if mark in json.dumps(frames)] == []


async def _until(socket: aiohttp.ClientWebSocketResponse, wanted: set[tuple[str, str | None]]) -> list[Any]:
    frames: list[Any] = []
    async with asyncio.timeout(60):
        while not wanted <= {(frame["type"], frame.get("data", {}).get("orderId")) for frame in frames}:
            frames.append(await socket.receive_json())
    return frames
