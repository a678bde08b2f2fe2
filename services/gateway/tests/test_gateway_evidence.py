"""What is evidence against a service behind the gateway, and what its client does. Circuits on a clock of ours."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cortex_core.chassis import Resilience, UpstreamTimeout, UpstreamUnavailable
from cortex_core.kernel import SystemClock, use_context
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_core.testing import FakeClock, eventually, serving
from cortex_gateway.adapters import PooledUpstreams
from cortex_gateway.adapters.pool_reporter import PoolReporter
from cortex_gateway.adapters.sockets import Refused
from cortex_gateway.ports import Call
from cortex_gateway.routes import Service

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Server:
    """Answers `status` to whatever comes; nothing at all while it `hangs`, and a reset while it `resets`. It lives."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.hangs = self.resets = False
        self.requests = 0
        self.over = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/health/live" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return writer.close()
        self.requests += 1
        if self.resets:
            return writer.transport.abort()
        if self.hangs:
            await self.over.wait()
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        writer.close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def state(metrics: MetricsCollector) -> Any:
    return lambda: metrics.value("cortex_circuit_breaker_state", name="order")


@pytest.fixture
async def upstreams(server: Server, clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[PooledUpstreams]:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    made = PooledUpstreams(
        dict.fromkeys(Service, address),
        tracer=Tracer("gateway"),
        clock=SystemClock(),
        connections=2,
        resilience=Resilience(metrics, clock=clock),
        hooks=PoolReporter(metrics, Logger.get("pool")),
    )
    async with listening, made.opened() as opened:
        yield opened
        server.over.set()


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with serving(app) as client:
        yield str(client._base_url).rstrip("/")


def call(**given: Any) -> Call:
    told: dict[str, Any] = {"method": "POST", "headers": [], "body": None, "timeout": 5.0, "deadline_sent": True}
    return Call(**{"service": Service.ORDER, "target": "/orders", **told, **given})


async def ask(upstreams: PooledUpstreams, **given: Any) -> int:
    async with upstreams.exchange(call(**given)) as answer:
        return answer.status


async def ring(upstreams: PooledUpstreams, **given: Any) -> None:
    async with upstreams.connect(call(method="GET", **given), []):
        pass


async def refused(upstreams: PooledUpstreams) -> None:
    with pytest.raises(Refused):
        await ring(upstreams)


async def half_open(upstreams: PooledUpstreams, server: Server, clock: FakeClock) -> None:
    server.status = "503 Unavailable"
    assert [await ask(upstreams) for _ in range(20)] == [503] * 20
    await clock.advance(1.0)


class TestRequests:
    async def test_a_service_that_hangs_opens_its_circuit(
        self, upstreams: PooledUpstreams, server: Server, state: Any
    ) -> None:
        server.hangs = True

        async def kept_waiting() -> None:
            with use_context(deadline=time.monotonic() + 0.4), pytest.raises(UpstreamTimeout):
                await ask(upstreams, timeout=0.4)  # as one who calls us with the route's own time-out

        for _ in range(10):
            await asyncio.gather(kept_waiting(), kept_waiting())  # there are two places

        with pytest.raises(UpstreamUnavailable, match="circuit"):
            await ask(upstreams)
        assert state() == OPEN

    async def test_a_client_without_time_does_not_close_a_half_open_one(
        self, upstreams: PooledUpstreams, server: Server, clock: FakeClock, state: Any
    ) -> None:
        await half_open(upstreams, server, clock)
        server.hangs = True

        with use_context(deadline=time.monotonic() + 0.02), pytest.raises(UpstreamTimeout):
            await ask(upstreams)

        assert state() == HALF_OPEN

    async def test_an_upload_that_breaks_off_does_not_close_a_half_open_one(
        self, upstreams: PooledUpstreams, server: Server, clock: FakeClock, state: Any
    ) -> None:
        await half_open(upstreams, server, clock)
        server.hangs = True

        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            raise ConnectionResetError("the client left")

        with pytest.raises(ConnectionResetError, match="the client left"):
            await ask(upstreams, body=body(), deadline_sent=False)

        assert state() == HALF_OPEN

    @pytest.mark.parametrize(("uploads", "then"), [(True, CLOSED), (False, OPEN)])
    async def test_one_that_ends_the_connection_within_an_upload_may_have_refused_it(
        self, upstreams: PooledUpstreams, server: Server, state: Any, uploads: bool, then: int
    ) -> None:
        """Its answer went with the connection. Behind a whole request that is evidence, as ever."""
        server.resets = True

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(65536)

        for _ in range(30):
            with pytest.raises(UpstreamUnavailable):
                await ask(upstreams, body=endless() if uploads else None, deadline_sent=False)

        assert state() == then

    @pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "429 Slowly", "500 Broken"])
    async def test_an_answer_closes_it(
        self, upstreams: PooledUpstreams, server: Server, clock: FakeClock, state: Any, status: str
    ) -> None:
        await half_open(upstreams, server, clock)
        server.status = status

        assert await ask(upstreams) == int(status[:3])

        assert state() == CLOSED


class TestSockets:
    async def test_a_service_that_fails_is_not_asked_for_sockets_either(
        self, upstreams: PooledUpstreams, server: Server, state: Any
    ) -> None:
        server.status = "503 Unavailable"
        for _ in range(20):
            with pytest.raises(Refused):
                await ring(upstreams)

        with pytest.raises(UpstreamUnavailable, match="circuit"):
            await ring(upstreams)
        assert (state(), server.requests) == (OPEN, 20)

    async def test_one_that_hangs_is_evidence(self, upstreams: PooledUpstreams, server: Server, state: Any) -> None:
        server.hangs = True
        for _ in range(20):
            with pytest.raises(UpstreamTimeout):
                await ring(upstreams, timeout=0.01)

        assert state() == OPEN

    @pytest.mark.parametrize("status", ["200 OK", "401 Who", "403 No", "404 Not Found", "500 Broken"])
    async def test_a_refusal_is_an_answer(
        self, upstreams: PooledUpstreams, server: Server, clock: FakeClock, state: Any, status: str
    ) -> None:
        await half_open(upstreams, server, clock)
        server.status = status

        with pytest.raises(Refused, match=status[:3]):
            await ring(upstreams)

        assert state() == CLOSED

    async def test_openings_wait_for_a_place_like_requests(
        self, upstreams: PooledUpstreams, server: Server, metrics: MetricsCollector
    ) -> None:
        server.hangs = True
        async with asyncio.TaskGroup() as tasks:
            stuck = [tasks.create_task(refused(upstreams)) for _ in range(4)]  # two inside, two in the queue
            await eventually(lambda: server.requests == 2)

            with pytest.raises(UpstreamUnavailable, match="too many"):
                await ring(upstreams)

            server.over.set()
            await asyncio.wait(stuck)
        assert metrics.value("cortex_bulkhead_rejections_total", name="order", outcome="full") == 1

    async def test_an_open_socket_takes_no_place(self, echo: str) -> None:
        made = PooledUpstreams(dict.fromkeys(Service, echo), tracer=Tracer("gateway"), clock=SystemClock())

        async with made.opened() as upstreams, upstreams.connect(call(method="GET", target="/"), []):
            assert upstreams.pool.services[Service.ORDER].bulkhead.in_use == 0


class TestTimeouts:
    """As the dashboards have them: `cortex_timeouts_total`, by whose time was over."""

    @pytest.fixture
    def timeouts(self, metrics: MetricsCollector) -> Callable[[], list[float | None]]:
        return lambda: [
            metrics.value("cortex_timeouts_total", name="order", whose=whose) for whose in ("own", "caller")
        ]

    async def test_a_request_that_its_service_kept_waiting_is_counted(
        self, upstreams: PooledUpstreams, server: Server, timeouts: Any
    ) -> None:
        server.hangs = True

        with pytest.raises(UpstreamTimeout):
            await ask(upstreams, timeout=0.02)

        assert timeouts() == [1, None]

    async def test_one_whose_caller_had_less_time_than_its_route_is_the_callers(
        self, upstreams: PooledUpstreams, server: Server, timeouts: Any
    ) -> None:
        server.hangs = True

        with use_context(deadline=time.monotonic() + 0.02), pytest.raises(UpstreamTimeout):
            await ask(upstreams)

        assert timeouts() == [None, 1]

    async def test_so_are_a_socket_and_a_report(
        self, upstreams: PooledUpstreams, server: Server, timeouts: Any
    ) -> None:
        server.hangs = True

        with pytest.raises(UpstreamTimeout):
            await ring(upstreams, timeout=0.02)
        with pytest.raises(UpstreamTimeout):
            await upstreams.fetch(Service.ORDER, "/health", 0.02)

        assert timeouts() == [2, None]

    async def test_an_answer_in_time_is_none(self, upstreams: PooledUpstreams, timeouts: Any) -> None:
        assert await ask(upstreams) == 200

        assert timeouts() == [None, None]
