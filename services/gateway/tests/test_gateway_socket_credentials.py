"""A live socket is over when the credential that opened it is: whichever way the gateway hears of that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import Principal
from cortex_core.security.api_keys import Issued, KeyDesk, KeyWish, MemoryApiKeys, Peppers
from cortex_core.testing import FakeClock, Issuer, eventually

PEPPER = "0123456789abcdef" * 4
SCOPES = frozenset({"notifications:read", "keys:admin"})
ROOT = Principal("root", "public", SCOPES, method="jwt")
OVER = (aiohttp.WSMsgType.CLOSE, 4401, "the credential has ended")


class Quiet:
    """A service that accepts, echoes, and remembers how it was left."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "flood, please":
                await self._flood(send)
            await send({"type": "websocket.send", "text": message["text"]})
        self.codes.append(message["code"])

    async def _flood(self, send: Any) -> None:
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65_536)})
                self.sent += 1
        except OSError:  # of a client that has gone
            self.codes.append(1006)
            raise


class Hub:
    """The gateway, and what a test does behind its back."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store = MemoryApiKeys(clock=self.clock)
        self.desk = KeyDesk(self.store, Peppers.of(PEPPER), clock=self.clock)
        self.bus = MemoryEventBus()
        self.issuer = Issuer(folder, self.clock)
        self.service = Quiet()
        self.client: aiohttp.ClientSession

    async def key(self, **wish: Any) -> Issued:
        return await self.desk.create(ROOT, KeyWish("n", SCOPES, **wish))

    @asynccontextmanager
    async def socket(self, *, of: Issued | str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open, and heard to be."""
        secret = of if isinstance(of, str) else of.secret
        async with self.client.ws_connect("/ws", headers={"Authorization": f"Bearer {secret}"}) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=5) == "hello"
            yield socket

    async def tell(self, name: str, key: Issued) -> None:
        await self.bus.publish([CloudEvent(name, "/gateway", key.key.id, {"keyId": key.key.id})])


@pytest.fixture
async def hub(start_gateway: Any, tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path)
    settings = {**hub.issuer.settings(gateway=True), "key_pepper": PEPPER}
    parts = {"api_keys": hub.store, "clock": hub.clock, "bus": hub.bus}
    async with start_gateway(settings, parts, notification=hub.service) as hub.client:
        yield hub


async def end(socket: aiohttp.ClientWebSocketResponse) -> tuple[Any, Any, Any]:
    message = await socket.receive(timeout=5)
    return message.type, message.data, message.extra


async def test_by_the_event_that_its_key_was_revoked(hub: Hub) -> None:
    key, another = await hub.key(), await hub.key()
    async with hub.socket(of=key) as socket, hub.socket(of=another) as other:
        await hub.desk.revoke(ROOT, key.key.id)
        await hub.tell("key.revoked", key)

        assert await end(socket) == OVER
        await eventually(lambda: hub.service.codes == [1001])
        await other.send_str("still here")
        assert await other.receive_str(timeout=5) == "still here"


async def test_by_the_store_where_the_event_is_lost(hub: Hub) -> None:
    key = await hub.key()
    async with hub.socket(of=key) as socket:
        await hub.desk.revoke(ROOT, key.key.id)
        await hub.clock.advance(5)

        assert await end(socket) == OVER


async def test_by_the_gateway_s_own_revocation(hub: Hub) -> None:
    key = await hub.key()
    async with hub.socket(of=key) as socket:
        headers = {"X-API-Key": key.secret}
        async with hub.client.delete(f"/api/keys/{key.key.id}", headers=headers) as reply:
            assert reply.status < 300, await reply.text()

        assert await end(socket) == OVER


async def test_by_its_key_s_own_end(hub: Hub) -> None:
    key = await hub.key(lives=60.0)
    async with hub.socket(of=key) as socket:
        await hub.clock.advance(60)

        assert await end(socket) == OVER


async def test_by_its_token_s_own_end(hub: Hub) -> None:
    async with hub.socket(of=hub.issuer.token(scope="notifications:read")) as socket:
        await hub.clock.advance(600)

        assert await end(socket) == OVER


async def test_a_key_that_was_rotated_holds_for_as_long_as_the_old_secret(hub: Hub) -> None:
    key = await hub.key()
    async with hub.socket(of=key) as socket:
        await hub.desk.rotate(ROOT, key.key.id, grace=60.0)
        await hub.tell("key.rotated", key)
        await hub.clock.advance(59)
        await socket.send_str("still here")
        assert await socket.receive_str(timeout=5) == "still here"

        await hub.clock.advance(1)
        assert await end(socket) == OVER


async def test_a_client_that_takes_nothing_does_not_keep_its_socket(hub: Hub) -> None:
    key = await hub.key()
    async with hub.socket(of=key) as socket:
        await socket.send_str("flood, please")
        before = -1
        while hub.service.sent != before:  # until nothing moves any more: all buffers are full
            before = hub.service.sent
            await asyncio.sleep(0.09)
        assert 0 < before < 2000
        await hub.desk.revoke(ROOT, key.key.id)
        await hub.tell("key.revoked", key)

        await eventually(lambda: hub.service.codes, 20)
