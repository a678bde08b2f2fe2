"""The notification service on a memory bus, under its real server, with real WebSocket clients."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from cortex_core.events import CloudEvent, EventBus, MemoryEventBus
from cortex_core.testing import serving
from cortex_notification.settings import Settings
from cortex_notification.wiring import build


@dataclass
class Client:
    """A WebSocket client that has been welcomed."""

    socket: ClientWebSocketResponse
    welcome: Mapping[str, Any]

    async def frame(self) -> dict[str, Any]:
        """The next frame. Fails where there is none within 20 s, or the connection is closed instead."""
        message = await self.socket.receive(timeout=20)
        assert message.type is WSMsgType.TEXT, (message, self.socket.close_code)
        frame = message.json()
        assert isinstance(frame, dict)
        return frame

    async def close_code(self) -> int | None:
        """Reads up to the end of the connection, and says how it ended."""
        while not self.socket.closed:
            await self.socket.receive(timeout=20)
        return self.socket.close_code


@dataclass
class Notification:
    """The service under test."""

    http: ClientSession
    bus: EventBus

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        async with self.http.ws_connect("/ws", **options) as socket:
            welcome = await socket.receive_json(timeout=20)
            yield Client(socket, welcome)

    async def publish(self, *events: CloudEvent) -> None:
        await self.bus.publish(events)

    async def metric(self, name: str) -> float:
        """The sample `name`, as /metrics shows it; 0 where there is none."""
        answer = await self.http.get("/metrics")
        found = [line.rpartition(" ")[2] for line in (await answer.text()).splitlines() if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    async def connected(self) -> int:
        return int(await self.metric("cortex_hub_websocket_connections"))


Serve = Callable[..., AbstractAsyncContextManager[Notification]]


@pytest.fixture
def serve() -> Serve:
    """`async with serve(queue=3) as service`: with these settings."""

    @asynccontextmanager
    async def start(*, bus: EventBus | None = None, **settings: Any) -> AsyncIterator[Notification]:
        bus = bus or MemoryEventBus()
        async with serving(build(Settings(env="test", **settings), bus=bus)) as http:
            yield Notification(http, bus)

    return start


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Notification]:
    async with serve() as started:
        yield started


Completed = Callable[..., CloudEvent]


@pytest.fixture
def completed() -> Completed:
    """`completed("ord_1")`: an event as the order service publishes it."""

    def make(order_id: str = "ord_1", *, tenant: str = "public", padding: int = 0) -> CloudEvent:
        data = {
            "orderId": order_id,
            "customerId": "cus_1" + "x" * padding,
            "total": 2500,
            "currency": "EUR",
            "processingTime": 0.5,
        }
        schema = "urn:cortex:event:order.completed/1"
        return CloudEvent("order.completed", "cortex/order", order_id, data, tenant=tenant, dataschema=schema)

    return make
