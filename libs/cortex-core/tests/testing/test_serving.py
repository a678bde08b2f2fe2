"""`serving`: the real server around an application, in the test's loop."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.testing import serving

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Echo:
    """Answers every request with its path; notes its lifespan."""

    def __init__(self, *, fails_at: str | None = None) -> None:
        self.fails_at = fails_at
        self.lived: list[str] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                if self.fails_at == step:
                    raise LookupError(f"no database at {step}")
                self.lived.append(step)
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.loop = asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def test_the_app_answers_over_http_in_the_tests_own_loop() -> None:
    app = Echo()

    async with serving(app) as client, client.get("/hello") as reply:
        assert await reply.text() == "/hello"

    assert app.loop is asyncio.get_running_loop()


async def test_its_client_leaves_an_idle_connection_long_before_the_server_does() -> None:
    async with serving(Echo()) as client:
        assert client.connector._keepalive_timeout < ConnectionLimits().keep_alive / 2


async def test_the_lifespan_is_run_through() -> None:
    app = Echo()

    async with serving(app):
        assert app.lived == ["startup"]

    assert app.lived == ["startup", "shutdown"]


@pytest.mark.parametrize("step", ["startup", "shutdown"])
async def test_what_the_lifespan_raises_is_raised(step: str) -> None:
    with pytest.raises(LookupError, match=f"no database at {step}"):
        async with serving(Echo(fails_at=step)):
            pass


async def test_the_blocks_own_error_is_raised_and_the_server_is_gone() -> None:
    app = Echo()

    with pytest.raises(ZeroDivisionError):
        async with serving(app) as client:
            base = str(client._base_url)
            raise ZeroDivisionError

    assert app.lived == ["startup", "shutdown"]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(base)
