"""A service made by the chassis reads encoded bodies, within the limits of its routes, by their decoded bytes."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from fastapi import APIRouter, Request

from cortex_core.chassis import Config, Edge, Platform, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving

SMALL, LARGE = 1_000, 100_000

router = APIRouter()


@router.post("/notes")
@router.post("/files")
async def size(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield None


@asynccontextmanager
async def service(*, at_the_edge: bool = False) -> AsyncIterator[ClientSession]:
    app = create_app(
        Config(env="test", body_limit=SMALL),
        running=running,
        routers=[router],
        bus=MemoryEventBus(),
        body_limits={"/files": LARGE},
        edge=(lambda platform: Edge(platform.metrics, platform.logger)) if at_the_edge else None,
    )
    async with serving(app) as client:
        yield client


async def post(client: ClientSession, path: str, body: bytes, coding: str = "gzip") -> tuple[int, object]:
    headers = {"Content-Encoding": coding, "Content-Type": "application/octet-stream"}
    async with client.post(path, data=body, headers=headers) as reply:
        told = await reply.json()
        return reply.status, told.get("size", told.get("code"))


@pytest.mark.parametrize(("path", "size"), [("/notes", SMALL), ("/files", SMALL + 1), ("/files", LARGE)])
async def test_it_is_decoded_up_to_its_routes_limit(path: str, size: int) -> None:
    async with service() as client:
        assert await post(client, path, gzip.compress(bytes(size))) == (200, size)


@pytest.mark.parametrize(("path", "size"), [("/notes", SMALL + 1), ("/files", LARGE + 1), ("/files", 10 * LARGE)])
async def test_a_byte_more_is_refused_however_few_came_in(path: str, size: int) -> None:
    async with service() as client:
        assert await post(client, path, gzip.compress(bytes(size))) == (413, "request.too-large")


async def test_what_is_not_what_it_says_is_refused() -> None:
    async with service() as client:
        assert (await post(client, "/notes", b"no gzip"))[0] == 400
        assert (await post(client, "/notes", b"x", "rot13"))[0] == 415


async def test_the_edge_passes_it_on_as_it_came() -> None:
    body = gzip.compress(bytes(SMALL))
    async with service(at_the_edge=True) as client:
        assert await post(client, "/notes", body) == (200, len(body))
