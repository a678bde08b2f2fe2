"""Every answer of every service tells browsers what it is, and the documents' page lives under its policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp import ClientSession
from fastapi import APIRouter, FastAPI

from cortex_core.asgi import CSPBuilder, HeaderPolicy
from cortex_core.chassis import Config, Platform, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving

DATA = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

router = APIRouter()


@router.get("/cup")
async def cup() -> dict[str, int]:
    return {"size": 1}


@router.get("/broken")
async def broken() -> None:
    raise RuntimeError


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield None


def teapot(**more: Any) -> FastAPI:
    return create_app(Config(env="test"), running=running, routers=[router], bus=MemoryEventBus(), **more)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with serving(teapot()) as client:
        yield client


class Page(HTMLParser):
    """What a browser would run or style by: each script and style with its attributes, and what an attribute does."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.running: list[dict[str, str | None]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style"}:
            self.running.append(dict(attributes))
        self.inline += [name for name, _ in attributes if name == "style" or name.startswith("on")]


async def policy_and_page(client: ClientSession) -> tuple[str, str]:
    async with client.get("/docs") as answer:
        assert answer.headers["Cache-Control"] == "no-store"  # a stored page would have an old nonce
        return answer.headers["Content-Security-Policy"], await answer.text()


@pytest.mark.parametrize(("path", "status"), [("/cup", 200), ("/health", 200), ("/nowhere", 404), ("/broken", 500)])
async def test_data_and_problems_are_told_to_be_no_page(client: ClientSession, path: str, status: int) -> None:
    async with client.get(path) as answer:
        assert answer.status == status
        assert answer.headers["Content-Security-Policy"] == DATA
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Strict-Transport-Security" not in answer.headers
        assert "Server" not in answer.headers


async def test_the_page_runs_nothing_without_the_nonce_of_its_answer(client: ClientSession) -> None:
    policy, text = await policy_and_page(client)
    page = Page(text)

    nonces = {each.get("nonce") for each in page.running}
    assert len(page.running) == 2
    assert page.inline == []
    assert [f"'nonce-{nonce}'" in policy for nonce in nonces] == [True]


async def test_the_page_has_a_strict_policy_and_another_nonce_each_time(client: ClientSession) -> None:
    (first, _), (second, _) = await policy_and_page(client), await policy_and_page(client)

    assert first != second
    assert "'strict-dynamic'" in first
    assert "unsafe" not in first


async def test_what_the_page_loads_has_no_nonce(client: ClientSession) -> None:
    async with client.get("/docs/assets/swagger-ui.css") as answer:
        assert (answer.status, answer.headers["Content-Security-Policy"]) == (200, DATA)


async def test_a_service_says_what_else_holds_where() -> None:
    pictures = HeaderPolicy(csp=CSPBuilder().img_src("'self'").build())
    app = teapot(security_headers={"/cup": pictures}, tls_in_front=True)
    async with serving(app) as client, client.get("/cup") as special, client.get("/health") as plain:
        assert special.headers["Content-Security-Policy"] == "img-src 'self'"
        assert plain.headers["Content-Security-Policy"] == DATA
        assert plain.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_page_without_a_policy_has_no_nonce_and_works_all_the_same() -> None:
    app = teapot(security_headers={"/docs": HeaderPolicy(csp=None)})
    async with serving(app) as client, client.get("/docs") as answer:
        assert "Content-Security-Policy" not in answer.headers
        assert {each["nonce"] for each in Page(await answer.text()).running} == {""}
