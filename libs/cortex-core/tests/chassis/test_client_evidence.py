"""What is evidence against a service that the client calls, and what says nothing of it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from cortex_core.asgi.http_cache import MemoryCacheStore
from cortex_core.chassis import CachedClient, Resilience, ServiceClient, UpstreamTimeout, UpstreamUnavailable
from cortex_core.chassis.upstream import is_hurried
from cortex_core.kernel import use_context
from cortex_core.observability import MetricsCollector
from cortex_core.resilience import CircuitBreaker
from cortex_core.testing import FakeClock, eventually, serving

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Service:
    """Answers `status`; nothing at all while it `hangs`."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = False
        self.requests = 0
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.requests += 1
        if self.hangs:
            await self.let_go.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with serving(service) as session:
        yield str(session._base_url).rstrip("/")
        service.let_go.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
async def client(clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[ServiceClient]:
    """Its circuits go by `clock`, and so would its pauses: for what is not tried again, as what found no connection
    within a busy machine's pause would be."""
    client = ServiceClient(resilience=Resilience(metrics, clock=clock), connections=1, connect_timeout=60.0)
    yield client
    await client.aclose()


class Unhurried(Resilience):
    """Its circuits remember, and stay open, for an hour: however long the machine stands still."""

    def circuit_breaker(self, name: str, **options: Any) -> CircuitBreaker:
        window = replace(options.pop("window"), seconds=3600.0)
        return super().circuit_breaker(name, **{**options, "window": window, "reset_timeout": 3600.0})


@pytest.fixture
async def patient(metrics: MetricsCollector) -> AsyncIterator[ServiceClient]:
    """As services have it, on the machine's clock."""
    client = ServiceClient(resilience=Unhurried(metrics))
    yield client
    await client.aclose()


@pytest.fixture
def state(metrics: MetricsCollector, url: str) -> Any:
    return lambda: metrics.value("cortex_circuit_breaker_state", name=url.split("//")[1])


async def times_out(client: ServiceClient, url: str, **more: Any) -> None:
    with pytest.raises(UpstreamTimeout):
        await client.request("GET", url, **more)


async def until_open(state: Callable[[], float], call: Callable[[], Awaitable[None]]) -> None:
    """Twenty calls that were made are enough; on a busy machine a call's time may be over before that."""
    for _ in range(200):
        if state() == OPEN:
            break
        await call()
    assert state() == OPEN


async def opened(client: ServiceClient, service: Service, url: str) -> None:
    service.status = 503
    for _ in range(20):
        await client.request("POST", url)


class TestAServiceThatHangs:
    async def test_it_opens_its_circuit(self, patient: ServiceClient, service: Service, url: str, state: Any) -> None:
        service.hangs = True
        await until_open(state, lambda: times_out(patient, url, timeout=0.01))

        with pytest.raises(UpstreamUnavailable, match="circuit"):
            await patient.request("GET", url, timeout=60.0)

    @pytest.mark.parametrize("share", [0.95, 1.0, 1000.0])
    async def test_a_deadline_that_leaves_a_call_its_time_does_not_excuse_it(
        self, patient: ServiceClient, service: Service, url: str, state: Any, share: float
    ) -> None:
        async def call() -> None:
            with use_context(deadline=time.monotonic() + 0.05 * share):
                await times_out(patient, url, timeout=0.05)

        service.hangs = True
        await until_open(state, call)

    async def test_neither_does_a_policy_of_the_callers_own(
        self, patient: ServiceClient, service: Service, url: str, state: Any
    ) -> None:
        service.hangs = True
        await until_open(state, lambda: times_out(patient, url, timeout=0.01, retry=False))

    async def test_neither_does_a_cache_before_it(
        self, patient: ServiceClient, service: Service, url: str, state: Any
    ) -> None:
        async def call() -> None:
            with pytest.raises((UpstreamTimeout, UpstreamUnavailable)):
                await cached.request("GET", f"{url}/{next(numbers)}", timeout=0.05)

        service.hangs, numbers = True, itertools.count()
        cached = CachedClient(patient, store=MemoryCacheStore(1 << 20))
        await until_open(state, call)
        await cached.aclose()


class TestHalfOpen:
    async def test_a_caller_without_time_does_not_close_it(
        self, client: ServiceClient, service: Service, url: str, state: Any, clock: FakeClock
    ) -> None:
        await opened(client, service, url)
        await clock.advance(1.0)
        service.hangs = True

        with use_context(deadline=time.monotonic() + 0.02):
            await times_out(client, url, timeout=5.0, retry=False)

        assert state() == HALF_OPEN

    async def test_a_mistake_of_ours_does_not_close_it(
        self, client: ServiceClient, service: Service, url: str, state: Any, clock: FakeClock
    ) -> None:
        await opened(client, service, url)
        await clock.advance(1.0)

        with pytest.raises(ValueError, match="header"):
            await client.request("POST", url, headers={"X-Name": "a\r\nb"})

        assert state() == HALF_OPEN

    @pytest.mark.parametrize("status", [200, 404, 429, 500])
    async def test_an_answer_closes_it(
        self, client: ServiceClient, service: Service, url: str, state: Any, clock: FakeClock, status: int
    ) -> None:
        await opened(client, service, url)
        await clock.advance(1.0)
        service.status = status

        assert (await client.request("POST", url)).status == status

        assert state() == CLOSED


async def test_nobody_waits_for_a_place_at_a_service_whose_circuit_is_open(
    client: ServiceClient, service: Service, url: str, metrics: MetricsCollector
) -> None:
    service.hangs, service.status = True, 503
    stuck = asyncio.create_task(client.request("POST", url))
    await eventually(lambda: service.requests == 1)
    client._upstreams[url.split("//")[1]].breaker.open_for(1.0)

    with pytest.raises(UpstreamUnavailable, match="circuit"):
        await client.request("POST", url)

    service.let_go.set()
    await stuck


class TestItsName:
    async def test_a_password_in_the_address_reaches_neither_metrics_nor_errors(
        self, client: ServiceClient, service: Service, url: str, metrics: MetricsCollector
    ) -> None:
        service.hangs = True
        with pytest.raises(UpstreamTimeout) as raised:
            await client.request("POST", url.replace("//", "//anna:secret@") + "/a?key=secret", timeout=0.01)

        assert str(raised.value).startswith(f"POST {url.split('//')[1]}/a: no answer")
        assert "secret" not in metrics.to_prometheus_format()

    @pytest.mark.parametrize("address", ["http://Order", "http://order:80", "http://a:b@order"])
    async def test_one_place_is_one_circuit(self, address: str, metrics: MetricsCollector) -> None:
        client = ServiceClient(resilience=Resilience(metrics), connect_timeout=0.01)
        with pytest.raises((UpstreamUnavailable, UpstreamTimeout)):
            await client.request("GET", address, timeout=0.01)
        await client.aclose()

        assert list(client._upstreams) == ["order"]


@pytest.mark.parametrize(("allowed", "hurried"), [(5.0, False), (4.6, False), (4.4, True), (0.0, True)])
def test_nine_tenths_of_its_time_are_enough_for_a_verdict(allowed: float, *, hurried: bool) -> None:
    assert is_hurried(allowed, 5.0) is hurried
