"""The order service on fakes of its ports, and the app on top of real things."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.eventsourcing.sql import open_event_store, upgrade
from cortex_core.observability import Logger, MetricsCollector, Tracer, configure_logging
from cortex_core.testing import FakeClock, eventually, serving
from cortex_order.adapters.processing import Processing
from cortex_order.domain import CustomerId, Item, Order, PaymentToken
from cortex_order.settings import Settings
from cortex_order.usecases import CarryOut, Patience, PlaceOrder, ProcessOrder
from cortex_order.wiring import MIGRATIONS, build

from .memory_orders import DirectCommands, FakePayments, MemoryOrders
from .patience import BACKOFF, DEFERENCE, WAIT
from .payment_provider import Provider
from .workshop import CLAIM, Workshop


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database may take as long as a busy machine needs: how long it may is tested where that is the point."""
    monkeypatch.setitem(open_event_store.__wrapped__.__kwdefaults__, "busy_timeout", 30.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory_orders(clock: FakeClock) -> MemoryOrders:
    return MemoryOrders(clock)


@pytest.fixture
def commands(memory_orders: MemoryOrders, clock: FakeClock) -> DirectCommands:
    return DirectCommands(CarryOut(memory_orders, clock))


@pytest.fixture
def payments() -> FakePayments:
    return FakePayments()


@pytest.fixture
def provider(clock: FakeClock) -> Provider:
    return Provider(clock)


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def options() -> Settings:
    return Settings(env="test")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its tables are made once; each test has a copy."""
    file = tmp_path_factory.mktemp("database") / "order.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{file}", [MIGRATIONS]))
    return file


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    shutil.copy(empty_database, tmp_path / "order.db")
    return Settings(
        env="test",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/order.db",
        payment_timeout=10.0,
        drain=0.2,
    )


@pytest.fixture
def bus(clock: FakeClock) -> MemoryEventBus:
    return MemoryEventBus(clock=clock)


ORDER: dict[str, Any] = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_canary",
}


@dataclass(frozen=True)
class Reply:
    """An answer, read. `body` is None where there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> tuple[int, str]:
        """Of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.body["status"] == self.status
        assert self.body["traceId"]
        return self.status, self.body["code"]


@dataclass
class Api:
    """The service as a client speaks to it. Headers may be given as pairs, where one is sent twice."""

    client: aiohttp.ClientSession

    async def get(self, path: str, headers: Any = None) -> Reply:
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, body: Any = b"", headers: Any = (), media: str = "application/json") -> Reply:
        """`body` as JSON, or bytes as they are; `media` is left out where it is empty."""
        pairs = [*(headers.items() if isinstance(headers, dict) else headers)]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._ask("POST", path, data, [*pairs, *([("Content-Type", media)] if media else [])])

    async def place(self, key: str | None = None, **changes: Any) -> Reply:
        """ORDER, with changes made to it."""
        return await self.post("/orders", {**ORDER, **changes}, {} if key is None else {"Idempotency-Key": key})

    async def placed(self) -> str:
        """A new order's id."""
        reply = await self.place()
        assert reply.status == 201, reply
        return str(reply.body["orderId"])

    async def settled(self, order_id: str) -> dict[str, Any]:
        """The order, once it has ended."""

        async def final() -> dict[str, Any]:
            order: dict[str, Any] = (await self.get(f"/orders/{order_id}")).body
            assert order["status"] in {"completed", "failed", "cancelled"}
            return order

        return await eventually(final)

    async def _ask(self, method: str, path: str, data: bytes | None, headers: Any) -> Reply:
        stream = None if data is None else io.BytesIO(data)  # a large body as bytes makes aiohttp warn
        skip = ["Content-Type"]
        async with self.client.request(method, path, data=stream, headers=headers, skip_auto_headers=skip) as answer:
            text = await answer.text()
            return Reply(answer.status, answer.headers, json.loads(text) if text else None)


@pytest.fixture
def api(client: aiohttp.ClientSession) -> Api:
    return Api(client)


@pytest.fixture
def order() -> dict[str, Any]:
    """The body of a request that is right in everything."""
    return deepcopy(ORDER)


@pytest.fixture
def api_of() -> Callable[[aiohttp.ClientSession], Api]:
    """For a service that a test has started itself."""
    return Api


@pytest.fixture
async def client(
    settings: Settings, payments: FakePayments, clock: FakeClock, bus: MemoryEventBus
) -> AsyncIterator[aiohttp.ClientSession]:
    """The service as it runs, but for its clock, its bus and its payment provider."""
    async with serving(build(settings, clock=clock, bus=bus, payments=payments)) as session:
        yield session


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def place(commands: Any, woken: list[bool]) -> PlaceOrder:
    return PlaceOrder(commands, lambda: woken.append(True))


@pytest.fixture
def process(commands: Any, memory_orders: Any, payments: Any, clock: FakeClock) -> ProcessOrder:
    patience = Patience(WAIT, 3, DEFERENCE, lambda _: BACKOFF)
    return ProcessOrder(commands, memory_orders, payments, memory_orders, clock, patience)


@pytest.fixture
async def placed(place: PlaceOrder) -> Order:
    return await place(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", PaymentToken("tok_ok"))


@pytest.fixture
def workshop(clock: FakeClock) -> Workshop:
    return Workshop(clock)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging(service="order", stream=stream)
    yield stream
    configure_logging(service="order")


@pytest.fixture
async def processing(workshop: Workshop, clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[Processing]:
    processing = Processing(
        workshop,
        workshop.process,
        limit=3,
        claim=CLAIM,
        backoff=lambda tries: timedelta(seconds=10 * (tries + 1)),
        clock=clock,
        tracer=Tracer("order"),
        logger=Logger.get("order"),
        put_off=metrics.create_counter("cortex_hub_orders_put_off_total", "", ("code",)),
    )
    running = asyncio.create_task(processing.run())
    yield processing
    assert not running.done()
    workshop.gate.set()
    await processing.drain(1.0)
    running.cancel()
