"""The service client under its blocks: what is tried again, what opens a circuit, who has to wait, what is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.chassis import Resilience, ServiceClient, UpstreamTimeout, UpstreamUnavailable
from cortex_core.kernel import use_context
from cortex_core.observability import MetricsCollector
from cortex_core.resilience import RetryBudget
from cortex_core.testing import eventually, free_port, serving

MakeClient = Callable[..., ServiceClient]


@dataclass
class Service:
    """Answers with the given statuses, one a request, then 200; `hangs` of them not at all. Notes what came."""

    statuses: list[int] = field(default_factory=list)
    hangs: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def requests(self) -> int:
        return len(self.headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.hangs:
            self.hangs -= 1
            await self.let_go.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"retry-after", b"0")]})
        await send({"type": "http.response.body", "body": b"{}"})


async def _live(receive: Any, send: Any) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with serving(service) as session:
        yield f"{str(session._base_url).rstrip(chr(47))}/things"
        service.let_go.set()


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
async def make_client(metrics: MetricsCollector) -> AsyncIterator[MakeClient]:
    made: list[ServiceClient] = []

    def make(*, budget: RetryBudget | None = None, **options: Any) -> ServiceClient:
        made.append(ServiceClient(resilience=Resilience(metrics, budget=budget), **options))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(make_client: MakeClient) -> ServiceClient:
    return make_client()


class TestRetries:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    async def test_what_may_pass_is_asked_again(
        self, client: ServiceClient, service: Service, url: str, status: int
    ) -> None:
        service.statuses = [status]

        assert (await client.request("GET", url)).status == 200
        assert service.requests == 2

    @pytest.mark.parametrize("status", [404, 409, 500])
    async def test_an_answer_is_an_answer(self, client: ServiceClient, service: Service, url: str, status: int) -> None:
        service.statuses = [status]

        assert (await client.request("GET", url)).status == status
        assert service.requests == 1

    async def test_what_never_passes_is_told_as_it_is_after_three_attempts(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.statuses = [503] * 9

        assert (await client.request("GET", url)).status == 503
        assert service.requests == 3

    async def test_a_post_is_sent_once(self, client: ServiceClient, service: Service, url: str) -> None:
        service.statuses = [503]

        assert (await client.request("POST", url, json={})).status == 503
        assert service.requests == 1

    async def test_a_post_with_an_idempotency_key_is_like_a_get(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.statuses = [503]

        reply = await client.request("POST", url, json={}, headers={"Idempotency-Key": "once"})

        assert (reply.status, service.requests) == (200, 2)

    async def test_a_post_that_reached_nobody_is_sent_again(
        self, client: ServiceClient, metrics: MetricsCollector
    ) -> None:
        with pytest.raises(UpstreamUnavailable) as raised:
            await client.request("POST", f"http://127.0.0.1:{free_port()}/")

        assert not raised.value.attempted
        assert metrics.value("cortex_retries_total", name="client") == 2

    async def test_who_has_a_policy_of_their_own_is_left_to_it(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.statuses = [503]

        assert (await client.request("GET", url, retry=False)).status == 503
        assert service.requests == 1

    async def test_the_timeout_is_for_all_attempts_together(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.hangs = 9

        with pytest.raises(UpstreamTimeout):
            await client.request("GET", url, timeout=0.2)

        assert service.requests == 1


class TestBudget:
    async def test_the_callee_is_told_what_the_call_may_still_cost(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.statuses = [503]

        await client.request("GET", url)

        assert [headers["x-retry-budget"] for headers in service.headers] == ["0.2", "0"]

    async def test_a_caller_can_only_lower_it(self, client: ServiceClient, service: Service, url: str) -> None:
        with use_context(retry_budget=0.05):
            await client.request("GET", url)
        with use_context(retry_budget=0.9):
            await client.request("GET", url)

        assert [headers["x-retry-budget"] for headers in service.headers] == ["0.05", "0.2"]

    async def test_an_outage_is_not_met_with_a_storm(self, make_client: MakeClient, service: Service, url: str) -> None:
        client = make_client(budget=RetryBudget(capacity=1.0))
        service.statuses = [503] * 1000

        for _ in range(6):
            await client.request("GET", url)

        assert service.requests == 6 + 1 + 1  # what the bucket held, and a fifth; without a budget it would be 18


class TestCircuit:
    async def test_a_service_that_fails_is_left_alone(
        self, client: ServiceClient, service: Service, url: str, metrics: MetricsCollector
    ) -> None:
        service.statuses = [503] * 1000
        place = url.split("/")[2]
        assert await client.request("POST", url)
        assert metrics.value("cortex_circuit_breaker_state", name=place) == 0

        for _ in range(19):
            await client.request("POST", url)

        with pytest.raises(UpstreamUnavailable, match="circuit") as refused:
            await client.request("POST", url)
        assert service.requests == 20
        assert not refused.value.attempted
        assert 0 < (refused.value.retry_after or 0) <= 1
        assert metrics.value("cortex_circuit_breaker_state", name=place) == 2
        assert metrics.value("cortex_circuit_breaker_rejections_total", name=place) == 1

    async def test_another_service_has_a_circuit_of_its_own(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.statuses = [503] * 20
        for _ in range(20):
            await client.request("POST", url)

        async with serving(Service()) as other:
            assert (await client.request("GET", f"{str(other._base_url).rstrip(chr(47))}/things")).status == 200

    @pytest.mark.parametrize("status", [404, 429, 500])
    async def test_what_it_answers_to_its_caller_is_no_evidence(
        self, client: ServiceClient, service: Service, url: str, status: int
    ) -> None:
        service.statuses = [status] * 30

        for _ in range(30):
            assert (await client.request("POST", url)).status == status

    async def test_callers_without_time_are_no_evidence_either(
        self, client: ServiceClient, service: Service, url: str
    ) -> None:
        service.hangs = 25
        loop = asyncio.get_running_loop()

        async def hurried() -> None:
            with use_context(deadline=loop.time() + 0.05), pytest.raises(UpstreamTimeout):
                await client.request("POST", url, timeout=5.0)

        await asyncio.gather(*(hurried() for _ in range(25)))

        service.hangs = 0  # on a busy machine some of them have run out of time before they reached it
        assert (await client.request("POST", url)).status == 200


class TestBulkhead:
    async def test_who_finds_no_place_is_told_so_and_nothing_was_sent(
        self, make_client: MakeClient, service: Service, url: str, metrics: MetricsCollector
    ) -> None:
        client = make_client(connections=1)
        service.hangs = 1
        inside = asyncio.create_task(client.request("GET", url))
        await eventually(lambda: service.requests == 1)
        waiting = asyncio.create_task(client.request("GET", url))
        await asyncio.sleep(0)

        with pytest.raises(UpstreamUnavailable) as refused:
            await client.request("GET", url)

        assert not refused.value.attempted
        service.let_go.set()
        assert [(await task).status for task in (inside, waiting)] == [200, 200]
        assert metrics.value("cortex_bulkhead_rejections_total", name=url.split("/")[2], outcome="full") == 1
