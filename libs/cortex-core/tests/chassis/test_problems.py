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
    assert wrong.headers["Allow"] == "POST"


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
