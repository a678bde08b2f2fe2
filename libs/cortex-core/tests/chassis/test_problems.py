"""Whatever goes wrong, the caller gets one shape: RFC 9457 with a stable code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Annotated, Any

import pytest
from aiohttp import ClientResponse, ClientSession
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field

from cortex_core.chassis import Config, Platform, create_app, problems
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import CortexError, Kind
from cortex_core.testing import serving


class TeapotIsEmpty(CortexError):
    code, kind = "teapot.empty", Kind.CONFLICT


class TeapotIsBusy(CortexError):
    code, kind = "teapot.busy", Kind.UNAVAILABLE
    response_headers = {"X-Cups-Waiting": "3"}  # noqa: RUF012 - as errors carry them: see asgi/problems.py


class Cup(BaseModel):
    size: Annotated[int, Field(gt=0)]


router = APIRouter()


@router.post("/cups", responses=problems(TeapotIsEmpty, TeapotIsBusy))
async def pour(cup: Cup) -> dict[str, int]:
    return {"size": cup.size}


@router.get("/cups/{name}")
async def cup(name: str) -> dict[str, str]:
    if name == "empty":
        raise TeapotIsEmpty("the teapot is empty", last_refill="noon")
    if name == "busy":
        raise TeapotIsBusy("the teapot is busy", retry_after=7)
    raise RuntimeError("the secret is xyzzy")


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield None


def teapot(**settings: Any) -> FastAPI:
    return create_app(Config(env="test", **settings), running=running, routers=[router], bus=MemoryEventBus())


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with serving(teapot()) as client:
        yield client


async def problem(answer: ClientResponse) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = await answer.json()
    assert body["status"] == answer.status
    assert body["type"] == f"urn:cortex:problem:{body['code']}"
    return body


async def test_our_error_carries_its_code_and_details(client: ClientSession) -> None:
    answer = await client.get("/cups/empty")

    body = await problem(answer)
    assert (answer.status, body["code"], body["detail"]) == (409, "teapot.empty", "the teapot is empty")
    assert body["instance"] == "/cups/empty"
    assert body["lastRefill"] == "noon"
    assert len(body["traceId"]) == 32


async def test_an_unavailable_thing_says_when_to_come_back(client: ClientSession) -> None:
    answer = await client.get("/cups/busy")

    await problem(answer)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert answer.headers["X-Cups-Waiting"] == "3"


async def test_a_bug_says_nothing_of_itself(client: ClientSession) -> None:
    answer = await client.get("/cups/broken")

    body = await problem(answer)
    assert (answer.status, body["code"]) == (500, "internal")
    assert "xyzzy" not in await answer.text()


async def test_bad_json_is_malformed(client: ClientSession) -> None:
    answer = await client.post("/cups", data=b'{"size": ', headers={"Content-Type": "application/json"})

    body = await problem(answer)
    assert (answer.status, body["code"]) == (400, "request.malformed-json")


async def test_a_wrong_member_is_pointed_at(client: ClientSession) -> None:
    answer = await client.post("/cups", json={"size": -1})

    body = await problem(answer)
    assert (answer.status, body["code"]) == (422, "request.invalid")
    assert body["errors"][0]["pointer"] == "#/size"


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: ClientSession) -> None:
    unknown, wrong = await client.get("/nowhere"), await client.delete("/cups")

    assert (unknown.status, (await problem(unknown))["code"]) == (404, "route.not-found")
    assert (wrong.status, (await problem(wrong))["code"]) == (405, "route.method-not-allowed")
    assert wrong.headers["Allow"] == "OPTIONS, POST"


async def test_a_declared_length_beyond_the_limit_is_refused(client: ClientSession) -> None:
    async with client.post("/cups", data=BytesIO(bytes(2_000_000))) as answer:
        body = await problem(answer)

    assert (answer.status, body["code"], body["limit"]) == (413, "request.too-large", 1 << 20)


async def test_an_undeclared_length_beyond_the_limit_is_refused(client: ClientSession) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * 65536

    async with client.post("/cups", data=chunks(), headers={"Content-Type": "application/json"}) as answer:
        body = await problem(answer)

    assert (answer.status, body["code"]) == (413, "request.too-large")


async def test_the_document_lists_the_codes_and_no_other_shape(client: ClientSession) -> None:
    document = await (await client.get("/openapi.json")).json()

    responses = document["paths"]["/cups"]["post"]["responses"]
    assert "`teapot.empty`" in responses["409"]["description"]
    assert "`request.invalid`" in responses["422"]["description"]
    assert {"400", "409", "413", "422", "503"} <= set(responses)
    assert all(
        list(responses[status]["content"]) == ["application/problem+json"] for status in ("400", "409", "413", "422")
    )
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_docs_page_asks_nothing_of_the_network(client: ClientSession) -> None:
    page = await (await client.get("/docs")).text()
    async with client.get("/docs/assets/swagger-ui-bundle.js") as script:
        code = await script.read()

    assert "http://" not in page
    assert "https://" not in page
    assert script.status == 200
    assert len(code) > 100_000


async def test_a_body_that_is_not_even_text_is_malformed(client: ClientSession) -> None:
    async with client.post("/cups", data=b"\xff\xfe{", headers={"Content-Type": "application/json"}) as answer:
        body = await problem(answer)

    assert (answer.status, body["code"]) == (400, "request.malformed-json")


async def test_the_whole_body_is_pointed_at_by_the_empty_pointer(client: ClientSession) -> None:
    async with client.post("/cups", json=[1]) as answer:
        assert (await problem(answer))["errors"][0]["pointer"] == "#"


async def test_nobody_minds_a_large_body_where_nothing_is(client: ClientSession) -> None:
    async with client.post("/nowhere", data=BytesIO(bytes(2_000_000))) as answer:
        assert (answer.status, (await problem(answer))["code"]) == (404, "route.not-found")


async def test_a_refused_body_counts_for_its_route(client: ClientSession) -> None:
    async with client.post("/cups", data=BytesIO(bytes(2_000_000))) as answer:
        await problem(answer)
    async with client.get("/metrics") as metrics:
        text = await metrics.text()

    assert 'cortex_hub_http_requests_total{method="POST",route="/cups",service="service",status="413"} 1.0' in text


async def test_there_is_one_address_a_thing(client: ClientSession) -> None:
    async with client.post("/cups/", json={"size": 1}, allow_redirects=False) as answer:
        assert answer.status == 404  # and no redirect to what the Host claims


async def test_a_tenant_that_is_not_served_is_refused() -> None:
    async with serving(teapot(tenants="public,acme")) as client:
        async with client.post("/cups", json={"size": 1}, headers={"X-Cortex-Tenant": "acme"}) as known:
            assert known.status == 200
        async with client.post("/cups", json={"size": 1}, headers={"X-Cortex-Tenant": "globex"}) as unknown:
            assert (unknown.status, (await problem(unknown))["code"]) == (400, "tenant.unknown")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [("/nowhere", {}, 404, "route.not-found"), ("/nowhere", {"X-Cortex-Tenant": "globex"}, 400, "tenant.unknown")],
)
async def test_a_socket_is_refused_with_a_problem_and_no_error_is_logged(
    client: ClientSession, caplog: pytest.LogCaptureFixture, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with client.get(path, headers=handshake | headers) as answer:
        body = await problem(answer)

    assert (answer.status, body["code"], len(body["traceId"])) == (status, code, 32)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
