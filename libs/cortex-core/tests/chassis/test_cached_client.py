"""The service client behind the cache's rules."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cortex_core.asgi.http_cache import CachePolicy, MemoryCacheStore, NotCached, SharedAnswerTimeout
from cortex_core.chassis import Reply, ServiceClient, UpstreamUnavailable
from cortex_core.chassis.cached_client import CachedClient
from cortex_core.kernel import current, use_context
from cortex_core.testing import FakeClock, eventually, free_port, serving

URL = "http://orders:8080/orders?page=1"


class FakeServiceClient:
    """Answers what the test says; `calls` is what reached it."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reply = Reply(200, {"Cache-Control": "max-age=60", "ETag": '"a"'}, b"[1]")
        self.error: Exception | None = None

    async def request(self, method: str, url: str, **more: Any) -> Reply:
        self.calls.append({"method": method, "url": url, "deadline": current().deadline, **more})
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.reply


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service() -> FakeServiceClient:
    return FakeServiceClient()


@pytest.fixture
async def client(service: Any, clock: FakeClock) -> AsyncIterator[CachedClient]:
    client = CachedClient(service, store=MemoryCacheStore(clock=clock), clock=clock)
    yield client
    await client.aclose()


async def test_a_fresh_answer_is_asked_for_once(client: CachedClient, service: FakeServiceClient) -> None:
    first = await client.request("GET", URL, headers={"Accept": "application/json"}, timeout=3)
    second = await client.request("GET", URL, headers={"Accept": "application/json"}, timeout=3)

    assert (first.status, first.json(), second.json()) == (200, [1], [1])
    assert second.headers["Cache-Status"] == "cortex; hit; ttl=60"
    [call] = service.calls
    assert (call["method"], call["url"], call["headers"], call["timeout"]) == (
        "GET",
        URL,
        {"accept": "application/json"},
        3,
    )


async def test_two_services_never_share_an_answer(client: CachedClient, service: FakeServiceClient) -> None:
    await client.request("GET", "http://orders:8080/")
    await client.request("GET", "http://files:8080")
    await client.request("GET", "http://orders:8081/")

    assert len(service.calls) == 3


async def test_tenants_never_share_an_answer(client: CachedClient, service: FakeServiceClient) -> None:
    for tenant in ("acme", "globex"):
        with use_context(tenant=tenant):
            await client.request("GET", URL)

    assert len(service.calls) == 2


async def test_a_stale_answer_is_validated(client: CachedClient, service: FakeServiceClient, clock: FakeClock) -> None:
    await client.request("GET", URL)
    await clock.advance(61)
    service.reply = Reply(304, {"Cache-Control": "max-age=60"}, b"")

    reply = await client.request("GET", URL)

    assert (reply.status, reply.body) == (200, b"[1]")
    assert service.calls[1]["headers"] == {"if-none-match": '"a"'}


async def test_a_stale_answer_is_served_while_it_is_refreshed(
    client: CachedClient, service: FakeServiceClient, clock: FakeClock
) -> None:
    service.reply = Reply(200, {"Cache-Control": "max-age=60, stale-while-revalidate=60"}, b"old")
    await client.request("GET", URL)
    await clock.advance(61)
    service.reply = Reply(200, {"Cache-Control": "max-age=60"}, b"new")

    assert (await client.request("GET", URL)).body == b"old"
    await eventually(lambda: len(service.calls) == 2)
    await asyncio.sleep(0)
    assert (await client.request("GET", URL)).body == b"new"
    assert service.calls[1]["deadline"] is None


async def test_a_stale_answer_stands_in_for_a_service_that_is_away(
    client: CachedClient, service: FakeServiceClient, clock: FakeClock
) -> None:
    service.reply = Reply(200, {"Cache-Control": "max-age=60, stale-if-error=600"}, b"old")
    await client.request("GET", URL)
    await clock.advance(61)
    service.error = UpstreamUnavailable("away")

    assert (await client.request("GET", URL)).body == b"old"
    with pytest.raises(UpstreamUnavailable):
        await client.request("GET", "http://orders:8080/other")


async def test_those_who_ask_together_ask_once(client: CachedClient, service: FakeServiceClient) -> None:
    service.gate.clear()
    calls = [asyncio.create_task(client.request("GET", URL)) for _ in range(100)]
    await eventually(lambda: service.calls)
    await asyncio.sleep(0)
    service.gate.set()

    assert {reply.body for reply in await asyncio.gather(*calls)} == {b"[1]"}
    assert len(service.calls) == 1


async def test_who_waits_for_anothers_answer_waits_no_longer_than_its_timeout(
    client: CachedClient, service: FakeServiceClient, clock: FakeClock
) -> None:
    service.gate.clear()
    patient = asyncio.create_task(client.request("GET", URL, timeout=9))
    await eventually(lambda: service.calls)
    with use_context(deadline=clock.monotonic() + 2):
        hasty = asyncio.create_task(client.request("GET", URL, timeout=5))
    await eventually(lambda: clock.sleepers)

    await clock.advance(2)

    with pytest.raises(SharedAnswerTimeout):
        await hasty
    service.gate.set()
    assert (await patient).status == 200


@pytest.mark.parametrize(("method", "body"), [("POST", {"json": {"a": 1}}), ("PUT", {"body": b"x"}), ("DELETE", {})])
async def test_a_change_goes_through_and_invalidates(
    client: CachedClient, service: FakeServiceClient, method: str, body: Any
) -> None:
    await client.request("GET", URL)
    await client.request(method, URL, headers={"Idempotency-Key": "k"}, **body)
    await client.request("GET", URL)

    assert [call["method"] for call in service.calls] == ["GET", method, "GET"]
    assert {name: service.calls[1][name] for name in body} == body
    assert service.calls[1]["headers"] == {"idempotency-key": "k"}


async def test_a_get_with_a_body_passes_by(client: CachedClient, service: FakeServiceClient) -> None:
    for _ in range(2):
        await client.request("GET", URL, json={"query": "x"})

    assert len(service.calls) == 2
    assert service.calls[0]["headers"] == {}


async def test_a_call_in_anothers_name_passes_by(client: CachedClient, service: FakeServiceClient) -> None:
    for _ in range(2):
        await client.request("GET", URL, headers={"Host": "elsewhere"})

    assert len(service.calls) == 2
    assert service.calls[0]["headers"] == {"Host": "elsewhere"}


async def test_a_url_with_a_user_passes_by(client: CachedClient, service: FakeServiceClient) -> None:
    for _ in range(2):
        await client.request("GET", "http://alice:secret@orders:8080/orders?page=1")

    assert len(service.calls) == 2


async def test_a_method_in_small_letters_is_the_same_method(client: CachedClient, service: FakeServiceClient) -> None:
    for _ in range(2):
        await client.request("get", URL)

    assert [call["method"] for call in service.calls] == ["GET"]


async def test_headers_of_any_text_go_through(client: CachedClient, service: FakeServiceClient) -> None:
    service.reply = Reply(
        200, {"Cache-Control": "max-age=60", "X-Latin": "\xe4", "X-Raw": "\udce4", "X-Wide": "€"}, b""
    )

    reply = await client.request("GET", URL, headers={"X-Name": "Zoë €"})

    assert service.calls[0]["headers"] == {"x-name": "Zoë €"}
    assert (reply.headers["x-latin"], reply.headers["x-raw"], reply.headers["x-wide"]) == ("ä", "ä", "â\x82¬")


async def test_head_is_answered_from_a_stored_get(client: CachedClient, service: FakeServiceClient) -> None:
    await client.request("GET", URL)

    head = await client.request("HEAD", URL)

    assert (head.status, head.body, len(service.calls)) == (200, b"", 1)


async def test_what_is_asked_for_only_if_it_is_stored(client: CachedClient) -> None:
    with pytest.raises(NotCached):
        await client.request("GET", URL, headers={"Cache-Control": "only-if-cached"})


async def test_tags_invalidate(client: CachedClient, service: FakeServiceClient) -> None:
    service.reply = Reply(200, {"Cache-Control": "max-age=60", "Cache-Tag": "orders"}, b"[1]")
    await client.request("GET", URL)

    assert await client.invalidate(["orders"]) == 1
    await client.request("GET", URL)
    assert len(service.calls) == 2


def test_an_origin_for_all_is_refused(service: Any) -> None:
    with pytest.raises(ValueError, match=r"policy\.origin"):
        CachedClient(service, store=MemoryCacheStore(), policy=CachePolicy(origin="http://orders"))


async def test_a_real_service_behind_it() -> None:
    asked: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        asked.append(scope)
        headers = [(b"cache-control", b"max-age=60"), (b"content-length", b"2"), (b"x-twice", b"a"), (b"x-twice", b"b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    service = ServiceClient()
    client = CachedClient(service, store=MemoryCacheStore())
    async with serving(app) as session:
        url = str(session._base_url).rstrip("/")
        with use_context(tenant="acme"):
            replies = [await client.request("GET", f"{url}/a?b=2", timeout=5) for _ in range(2)]
        changed = await client.request("POST", url, json={"a": 1})

    assert [reply.body for reply in replies] == [b"ok", b"ok"]
    assert (changed.status, len(asked), asked[0]["query_string"]) == (200, 2, b"b=2")
    assert dict(asked[0]["headers"])[b"x-cortex-tenant"] == b"acme"
    with pytest.raises(UpstreamUnavailable):
        await client.request("GET", f"http://127.0.0.1:{free_port()}/")
    await client.aclose()
    await service.aclose()
