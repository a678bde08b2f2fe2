"""A client that shows its credential to the service itself is heard for as long as that holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import Principal
from cortex_core.security.api_keys import KeyDesk, KeyWish, MemoryApiKeys, Peppers
from cortex_core.testing import FakeClock, Issuer, serving
from cortex_notification.settings import Settings
from cortex_notification.wiring import build

PEPPER = "0123456789abcdef" * 4
SCOPES = frozenset({"notifications:read"})
ROOT = Principal("root", "public", SCOPES, method="jwt")


class Door:
    """The service, and what a test does behind its back."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.issuer = Issuer(folder, self.clock)
        self.bus = MemoryEventBus()
        self.store = MemoryApiKeys(clock=self.clock)
        self.desk = KeyDesk(self.store, Peppers.of(PEPPER), clock=self.clock)
        self.http: ClientSession

    @asynccontextmanager
    async def socket(self, **headers: str) -> AsyncIterator[Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.ws_connect("/ws", headers=sent) as socket:
            assert (await socket.receive_json(timeout=20))["type"] == "welcome"
            yield socket


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    door = Door(tmp_path)
    settings = Settings(env="test", key_pepper=PEPPER, **door.issuer.settings())
    async with serving(build(settings, clock=door.clock, bus=door.bus, api_keys=door.store)) as door.http:
        yield door


async def end(socket: Any) -> tuple[int, str]:
    message = await socket.receive(timeout=20)
    return message.data, message.extra


OVER = (4401, "the credential has ended")


@pytest.mark.parametrize("told", [True, False])
async def test_until_its_key_is_revoked_whether_that_is_told_or_not(door: Door, told: bool) -> None:
    key = await door.desk.create(ROOT, KeyWish("n", SCOPES))
    async with door.socket(X_API_Key=key.secret) as socket:
        await door.desk.revoke(ROOT, key.key.id)
        if told:
            await door.bus.publish([CloudEvent("key.revoked", "/gateway", key.key.id, {"keyId": key.key.id})])
        else:
            await door.clock.advance(5)

        assert await end(socket) == OVER


async def test_until_its_token_ends(door: Door) -> None:
    async with door.socket(**door.issuer.headers(scope="notifications:read")) as socket:
        await door.clock.advance(599)
        await socket.send_str("{}")
        assert (await socket.receive_json(timeout=20))["type"]
        await door.clock.advance(1)

        assert await end(socket) == OVER


async def test_whom_the_gateway_vouches_for_outlives_the_gateway_s_word(door: Door) -> None:
    """It is over in a minute; what it stands for the gateway minds."""
    told = door.issuer.internal(Principal("kim", scopes=SCOPES, method="jwt"))
    async with door.socket(X_Cortex_Principal=told) as socket:
        await door.clock.advance(3600)
        await socket.send_str("{}")

        assert (await socket.receive_json(timeout=20))["type"]
