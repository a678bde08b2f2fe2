"""A request whose caller has left is not begun, and what a header says is read in one way only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter, WebSocket
from hypothesis import example, given
from hypothesis import strategies as st

from cortex_core.asgi import RequestContext
from cortex_core.chassis import Config, Platform, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.kernel.context import Context, current, use_context
from cortex_core.resilience import format_retry_budget, parse_retry_budget, read_deadline, write_deadline
from cortex_core.testing import FakeClock, serving
from cortex_core.testing.exchange import exchange

router = APIRouter()


@router.get("/work")
async def work() -> None:
    done.append("work")


@router.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    done.append("socket")
    await websocket.accept()


done: list[str] = []


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield None


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    done.clear()
    async with serving(
        create_app(Config(env="test"), running=running, routers=[router], bus=MemoryEventBus())
    ) as client:
        yield client


async def test_work_that_nobody_waits_for_is_not_begun(client: aiohttp.ClientSession) -> None:
    async with client.get("/work", headers={"X-Request-Deadline": "0"}) as reply:
        told = await reply.json()

    assert (reply.status, reply.content_type) == (504, "application/problem+json")
    assert told["code"] == "deadline.exceeded"
    assert done == []


@pytest.mark.parametrize("headers", [{}, {"X-Request-Deadline": "60000"}, {"X-Request-Deadline": "soon"}])
async def test_any_other_is(client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    async with client.get("/work", headers=headers) as reply:
        assert reply.status == 200

    assert done == ["work"]


async def test_neither_is_a_socket_opened(client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/socket", headers={"X-Request-Deadline": "0"})

    assert (refused.value.status, done) == (504, [])


async def read(name: str, text: str, clock: FakeClock) -> Context:
    """What the middleware makes of a header."""
    seen: list[Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await exchange(RequestContext(app, monotonic=clock.monotonic), headers=[(name, text.encode("latin-1"))])
    return seen[0]


LATIN = st.text(st.characters(max_codepoint=255), max_size=12)
DECIMALS = st.from_regex(r"[+-]?[0-9]{0,4}\.?[0-9]{0,5}", fullmatch=True)


@given(text=DECIMALS | LATIN)
@example("5")
@example("0.")
@example("1.5")
@example("1.000")
async def test_a_retry_budget_is_what_the_resilience_cog_reads(text: str) -> None:
    assert (await read("x-retry-budget", text, FakeClock())).retry_budget == parse_retry_budget(text)


@given(text=st.from_regex(r"[0-9]{0,11}", fullmatch=True) | LATIN)
async def test_a_deadline_is_what_the_resilience_cog_reads(text: str) -> None:
    clock = FakeClock()

    assert (await read("x-request-deadline", text, clock)).deadline == read_deadline(text, clock)


@given(tokens=st.floats(0, 1), left=st.floats(-1, 1e7))
async def test_what_is_written_is_read_and_never_as_more(tokens: float, left: float) -> None:
    clock = FakeClock()
    with use_context(deadline=clock.monotonic() + left):
        milliseconds = write_deadline(clock)
    assert milliseconds is not None

    budget = (await read("x-retry-budget", format_retry_budget(tokens), clock)).retry_budget
    deadline = (await read("x-request-deadline", milliseconds, clock)).deadline

    assert budget is not None
    assert tokens - 0.001 <= budget <= tokens + 1e-6
    assert deadline is not None
    assert deadline - clock.monotonic() <= max(0.0, left) + 1e-6
