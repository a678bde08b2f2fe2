"""How many live sockets one caller, and one tenant, may have: nobody takes everybody's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.events import MemoryEventBus
from cortex_core.kernel import Principal
from cortex_core.testing import Issuer, serving
from cortex_notification.settings import Settings
from cortex_notification.wiring import build

SCOPES = frozenset({"notifications:read"})
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@asynccontextmanager
async def room(issuer: Issuer, **settings: Any) -> AsyncIterator[ClientSession]:
    told = {**issuer.settings(), "tenants": frozenset({"public", "acme"}), **settings}
    async with serving(build(Settings(env="test", **told), bus=MemoryEventBus())) as http:
        yield http


async def refused(http: ClientSession, headers: dict[str, str]) -> tuple[int, str]:
    async with http.get("/ws", headers={**UPGRADE, **headers}) as reply:
        problem = await reply.json()
        assert int(reply.headers["Retry-After"]) >= 1
        return reply.status, problem["code"]


def inside(issuer: Issuer, *, address: str = "10.0.0.1", **principal: Any) -> dict[str, str]:
    who = Principal(**{"subject": "kim", "method": "jwt", "scopes": SCOPES, **principal})
    return {"X-Cortex-Principal": issuer.internal(who), "X-Forwarded-For": address}


async def test_one_caller_does_not_take_them_all(issuer: Issuer) -> None:
    """A user is one whatever the token; a key is one, and so is an address of whom nothing else is known."""
    shown = [
        [issuer.headers(scope="notifications:read", jti=str(n)) for n in range(3)],
        [inside(issuer, key_id="k1", method="api-key", subject=name) for name in ("a", "b", "c")],
        [inside(issuer, subject="anonymous", method="anonymous", address="1.1.1.1, 2.2.2.2")] * 3,
    ]
    others = [
        issuer.headers(scope="notifications:read", tenant="acme"),
        inside(issuer, key_id="k2", method="api-key"),
        inside(issuer, subject="anonymous", method="anonymous", address="2.2.2.2, 1.1.1.1"),
    ]
    async with room(issuer, connections_per_caller=2, anonymous=True) as http, AsyncExitStack() as stack:
        for first, second, third in shown:
            for headers in (first, second):
                await stack.enter_async_context(http.ws_connect("/ws", headers=headers))
            assert await refused(http, third) == (429, "connection.too-many")
        for headers in others:
            await stack.enter_async_context(http.ws_connect("/ws", headers=headers))


async def test_one_tenant_does_not_take_them_all(issuer: Issuer) -> None:
    async with room(issuer, connections_per_tenant=2) as http, AsyncExitStack() as stack:
        of_acme = [issuer.headers(scope="notifications:read", tenant="acme", sub=str(n)) for n in range(3)]
        for headers in of_acme[:2]:
            await stack.enter_async_context(http.ws_connect("/ws", headers=headers))
        assert await refused(http, of_acme[2]) == (429, "connection.too-many")
        await stack.enter_async_context(http.ws_connect("/ws", headers=issuer.headers(scope="notifications:read")))


@pytest.mark.parametrize(
    ("tenants", "told", "expected"),
    [({"public"}, None, 900), ({"public", "acme"}, None, 600), ({"public", "acme"}, 7, 7)],
)
def test_a_tenant_has_all_where_it_is_the_only_one(tenants: set[str], told: int | None, expected: int) -> None:
    settings = Settings(env="test", tenants=frozenset(tenants), connections_per_tenant=told)

    assert settings.room_of_a_tenant == expected
