"""A service's own port in development: what a page of another origin sends changes nothing there either."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from fastapi import APIRouter, FastAPI

from cortex_core.chassis import Config, create_app, service_config
from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving

EVIL = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"


def pouring(poured: list[str], **settings: Any) -> FastAPI:
    router = APIRouter()

    @router.post("/tea", status_code=201)
    async def pour() -> None:
        poured.append("tea")

    @asynccontextmanager
    async def running(_platform: Any) -> AsyncIterator[None]:
        yield None

    return create_app(Settings(**settings), running=running, routers=[router], bus=MemoryEventBus())


@pytest.mark.parametrize("env", ["development", "test"])
async def test_it_is_refused_by_a_problem(env: str) -> None:
    poured: list[str] = []
    async with serving(pouring(poured, env=env)) as client:
        async with client.post("/tea", data=b"hello", headers=EVIL) as reply:
            problem = await reply.json()
            assert (reply.status, reply.content_type) == (403, "application/problem+json")
            assert problem["code"] == "request.foreign-page"
            assert "send a credential" in problem["detail"]
        assert poured == []

        async with client.post("/tea", data=b"hello") as reply:
            assert reply.status == 201
        own = {"Origin": str(client._base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        async with client.post("/tea", data=b"hello", headers=own) as reply:
            assert reply.status == 201


async def test_where_everybody_says_who_he_is_its_routes_ask() -> None:
    poured: list[str] = []
    async with (
        serving(pouring(poured, env="test", anonymous=False)) as client,
        client.post("/tea", data=b"hello", headers=EVIL) as reply,
    ):
        assert reply.status == 201, "a route that asks for no scope is anybody's"
