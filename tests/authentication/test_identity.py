"""Who asks the gateway is who the service serves: signed on the way, and nobody else's word for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.kernel import Principal
from cortex_core.testing import Issuer, serving

ORDER = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}


class Echo:
    """In a service's place: remembers the headers that reached it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.seen.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})


@asynccontextmanager
async def echoing(start_service: Any, **settings: Any) -> AsyncIterator[tuple[Any, Echo]]:
    echo = Echo()
    async with serving(echo) as client:
        address = str(client._base_url).rstrip("/")
        async with start_service("gateway", order_url=address, cache_bytes=0, **settings) as gateway:
            yield gateway, echo


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]


async def test_a_service_is_told_who_asks_and_sees_no_credential(start_service: Any, issuer: Issuer) -> None:
    headers = [*bearer(issuer.token(scope="orders:read")), (b"x-cortex-principal", b"root")]
    async with echoing(start_service) as (gateway, echo), start_service("order") as order:
        assert (await gateway.ask("GET", "/api/orders", headers)).status == 200

        (seen,) = echo.seen
        assert not {"authorization", "x-api-key"} & seen.keys()
        told = [(b"x-cortex-principal", seen["x-cortex-principal"].encode())]
        assert (await order.ask("GET", "/orders", told)).status == 200
        refused = await order.ask("POST", "/orders", told)
        assert (refused.status, refused.body["scope"]) == (403, "orders:write")


async def test_a_static_token_is_known_at_the_gateway_and_by_its_word_behind_it(
    start_service: Any, line: Any, tmp_path: Path
) -> None:
    """In both lanes, and on a socket; directly at a service it is worth nothing."""
    token = "st_" + "a" * 40
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([{"token": token, "sub": "helm", "scopes": ["orders:write", "orders:read"]}]))
    async with echoing(start_service, static_tokens=file) as (gateway, echo), start_service("order") as order:
        with closing(line(gateway)) as wire:
            for _ in range(2):
                assert (await wire.ask("POST", "/api/orders", bearer(token))).status == 200
            assert (await wire.ask("GET", "/api/orders", bearer(token[:-1] + "b"))).status == 401
            assert (await wire.ask("GET", "/api/storage/files", bearer(token))).status == 403
        offered = [(b"sec-websocket-protocol", b"cortex.events, cortex.bearer." + token.encode())]
        assert (await gateway.ask("SOCKET", "/ws", offered)).body["scope"] == "notifications:read"

        assert not any(token in str(seen) for seen in echo.seen)
        told = [(b"x-cortex-principal", echo.seen[1]["x-cortex-principal"].encode())]
        assert (await order.ask("GET", "/orders", told)).status == 200
        assert (await order.ask("GET", "/orders", bearer(token))).status == 401


async def test_either_lane_tells_a_service_the_same_of_who_asks(
    start_service: Any, line: Any, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first request goes through the application, which finds out who asks; the second by the express lane."""
    headers = [*bearer(issuer.token(scope="orders:write")), (b"x-cortex-principal", b"root")]
    async with echoing(start_service) as (gateway, echo):
        with closing(line(gateway)) as wire:
            for _ in range(2):
                assert (await wire.ask("POST", "/api/orders", headers)).status == 200
        metrics = (await gateway.ask("GET", "/metrics", [])).body.decode()

    application, express = echo.seen
    assert 'cortex_gateway_lane_total{lane="express"} 1.0' in metrics
    assert application["x-cortex-principal"] == express["x-cortex-principal"] != "root"
    assert not {"authorization", "x-api-key"} & (application.keys() | express.keys())
    lines = [line for line in "".join(capsys.readouterr()).splitlines() if '"path":"/api/orders"' in line]
    assert [line.count('"principal":"kim"') for line in lines] == [1, 1]


async def test_one_token_serves_many_requests_of_one_caller(start_service: Any, issuer: Issuer) -> None:
    kim, lee = (bearer(issuer.token(sub=name, scope="orders:read")) for name in ("kim", "lee"))
    async with echoing(start_service) as (gateway, echo):
        for headers in (kim, kim, lee):
            await gateway.ask("GET", "/api/orders", headers)

    first, second, other = (seen["x-cortex-principal"] for seen in echo.seen)
    assert first == second != other


async def test_without_a_key_of_its_own_the_gateway_passes_the_credential_on(
    start_service: Any, issuer: Issuer
) -> None:
    token = issuer.token(scope="orders:read")
    async with echoing(start_service, internal_signing_key=None) as (gateway, echo):
        await gateway.ask("GET", "/api/orders", bearer(token))

    (seen,) = echo.seen
    assert seen["authorization"] == f"Bearer {token}"
    assert "x-cortex-principal" not in seen


async def test_a_caller_s_tenant_is_his_own_whatever_he_says(start_service: Any, issuer: Issuer) -> None:
    tenants = {"tenants": frozenset({"public", "acme"})}
    named = (b"x-cortex-tenant", b"public")
    token = issuer.token(scope="orders:read orders:write", tenant="acme")
    async with start_service("order", **tenants, anonymous=True) as order:
        told = issuer.internal(Principal("kim", "acme", frozenset({"orders:read"}), method="jwt"))
        for headers in (bearer(token), [(b"x-cortex-principal", told.encode())]):
            reply = await order.ask("GET", "/orders", [*headers, named, (b"x-cortex-tenant", b"nobody's")])
            assert reply.status == 200, reply.body
        unknown = await order.ask("GET", "/orders", [(b"x-cortex-tenant", b"nobody-s")])
        assert (unknown.status, unknown.body["code"]) == (400, "tenant.unknown")


async def test_an_anonymous_caller_s_tenant_reaches_the_service_signed(start_service: Any, issuer: Issuer) -> None:
    tenants = {"tenants": frozenset({"public", "acme"}), "anonymous": True}
    async with echoing(start_service, **tenants) as (gateway, echo):
        await gateway.ask("GET", "/api/orders", [(b"x-cortex-tenant", b"acme")])

    (seen,) = echo.seen
    async with start_service("order", **tenants) as order:
        told = [(b"x-cortex-principal", seen["x-cortex-principal"].encode())]
        assert (await order.ask("GET", "/orders", told)).status == 200
    async with start_service("order", tenants=frozenset({"public"}), anonymous=True) as order:
        assert (await order.ask("GET", "/orders", told)).status == 401


async def test_two_callers_who_choose_one_idempotency_key_place_two_orders(start_service: Any, issuer: Issuer) -> None:
    kim, lee = (issuer.headers(sub=name, scope="orders:write") for name in ("kim", "lee"))
    async with start_service("order", anonymous=True) as order, aiohttp.ClientSession(order.app.state.base_url) as http:
        placed = []
        for headers in (kim, kim, lee, {}):
            async with http.post("/orders", json=ORDER, headers={**headers, "Idempotency-Key": "k1"}) as reply:
                assert reply.status == 201
                placed.append(((await reply.json())["orderId"], "Idempotency-Replayed" in reply.headers))

    (one, first), (same, again), (other, _), (nobody, _) = placed
    assert (one, first, again) == (same, False, True)
    assert len({one, other, nobody}) == 3


async def test_a_page_shows_its_credential_as_a_subprotocol(start_hub: Any, issuer: Issuer) -> None:
    token = issuer.token(scope="notifications:read")
    async with start_hub() as gateway, aiohttp.ClientSession(gateway.app.state.base_url) as http:
        async with http.ws_connect("/ws", protocols=["cortex.events", f"cortex.bearer.{token}"]) as socket:
            welcome = await asyncio.wait_for(socket.receive_json(), 60)
            assert (welcome["type"], socket.protocol) == ("welcome", "cortex.events")

        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws", protocols=["cortex.events", f"cortex.bearer.{token}x"])
        assert refused.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws", headers=issuer.headers(scope="orders:read"))
        assert refused.value.status == 403


async def test_nobody_unknown_makes_us_read_his_body(start_service: Any) -> None:
    json = {"Content-Type": "application/json"}
    async with (
        start_service("order") as order,
        aiohttp.ClientSession(order.app.state.base_url) as http,
        http.post("/orders", data=b"{not json", headers=json) as reply,
    ):
        problem = await reply.json()

    assert (reply.status, problem["code"]) == (401, "auth.required")
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="cortex"'


async def test_lines_name_who_asked_and_never_his_address(
    start_service: Any, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    token = issuer.token(sub="kim", email="canary-7fd1@x.test", scope="orders:read")
    async with start_service("order") as order:
        await order.ask("GET", "/orders", bearer(token))
        await order.ask("GET", "/orders", bearer(token[:-4] + "AAAA"))
        metrics = (await order.ask("GET", "/metrics", [])).body.decode()

    out = "".join(capsys.readouterr())
    assert '"principal":"kim"' in out
    assert "canary" not in out
    assert token.split(".")[1] not in out
    assert token.split(".")[2][:20] not in out
    assert 'cortex_auth_total{method="jwt",outcome="refused"} 1.0' in metrics
    assert 'cortex_auth_failures_total{reason="signature"} 1.0' in metrics


async def test_a_key_that_speaks_for_somebody_is_not_he(start_service: Any, issuer: Issuer) -> None:
    """Who makes a key chooses whom it names: it does not get what that one was answered."""
    scopes = frozenset({"orders:write"})
    root = Principal("root", scopes=scopes, method="jwt")
    callers = [root, Principal("root", scopes=scopes, method="api-key", key_id="key_1"), root]
    async with start_service("order") as order, aiohttp.ClientSession(order.app.state.base_url) as http:
        placed = []
        for caller in callers:
            headers = {"X-Cortex-Principal": issuer.internal(caller), "Idempotency-Key": "k1"}
            async with http.post("/orders", json=ORDER, headers=headers) as reply:
                assert reply.status == 201
                placed.append((await reply.json())["orderId"])

    assert placed[0] == placed[2] != placed[1]
