"""What the cache does to the messages that go through it."""

import copy
import logging
from typing import Any

import pytest

from cortex_core.asgi.http_cache import HttpCache, MemoryCacheStore
from cortex_core.testing import eventually

Site = Any  # conftest.py


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_applications_own_messages_are_left_as_they_are(site: Site, method: str) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"Date", b"now"), (b"x", b"y")]}
    before = copy.deepcopy(start)

    async def constant(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    site.handler = constant
    site.build(date=False)
    for _ in range(2):
        reply = await site.ask(method=method)

    assert start == before
    assert [name for name, _ in reply.headers] == ["x", "cache-status"]


async def test_trouble_is_logged_where_nobody_else_listens(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    cache = HttpCache(site.app, store=MemoryCacheStore(clock=site.clock), clock=site.clock)
    site.answers(Cache_Control="max-age=60, stale-while-revalidate=60")
    await site.ask(cache=cache)
    await site.clock.advance(61)
    site.answers(503)

    with caplog.at_level(logging.WARNING, "cortex_core.asgi.http_cache"):
        await site.ask(cache=cache)
        await eventually(lambda: caplog.messages)

    assert caplog.messages == ["refresh: RefreshFailed('the application answered 503')"]
    await cache.aclose()
