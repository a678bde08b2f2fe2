"""HEAD says what GET would, and nobody outside takes it for a GET."""

import asyncio
import contextlib
from typing import Any

import pytest

from cortex_core.asgi import HeadFromGet


class Client:
    """Sends one request, and notes what method the scope has whenever something comes out."""

    def __init__(self, method: str, kind: str = "http") -> None:
        self.scope: dict[str, Any] = {"type": kind, "method": method, "path": "/things", "headers": []}
        self.came: list[Any] = []
        self.methods: list[str] = []

    async def ask(self, app: Any) -> None:
        await app(self.scope, self._receive, self._send)

    async def _send(self, message: Any) -> None:
        self.came.append(message)
        self.methods.append(self.scope["method"])

    async def _receive(self) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}


class Things:
    """Knows GET, and remembers what it was asked by."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        self.asked.append(scope["method"])
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"def", "more_body": False})


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]}
WHOLE = [START, {"type": "http.response.body", "body": b"", "more_body": False}]


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    client = Client("HEAD")

    await client.ask(HeadFromGet(Things()))

    assert client.came == WHOLE


async def test_the_application_sees_get_and_everybody_outside_head() -> None:
    hint = {"type": "http.response.debug", "info": {}}

    async def hinting(scope: Any, receive: Any, send: Any) -> None:
        await send(hint)
        await things(scope, receive, send)

    client, things = Client("HEAD"), Things()

    await client.ask(HeadFromGet(hinting))

    assert things.asked == ["GET"]
    assert (client.came, client.methods) == ([hint, *WHOLE], ["HEAD", "HEAD", "HEAD"])
    assert client.scope["method"] == "HEAD"


class TestTheBodyThatNobodyWants:
    async def test_one_without_an_end_is_not_waited_for(self) -> None:
        async def endless(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await asyncio.Event().wait()

        client = Client("HEAD")
        await asyncio.wait_for(client.ask(HeadFromGet(endless)), 30)

        assert client.came == WHOLE

    async def test_what_is_to_be_closed_is_closed(self) -> None:
        closed: list[str] = []

        async def holding(scope: Any, receive: Any, send: Any) -> None:
            try:
                await send(START)
            finally:
                await asyncio.sleep(0)
                closed.append("a file")

        await Client("HEAD").ask(HeadFromGet(holding))

        assert closed == ["a file"]

    async def test_it_ends_also_where_a_task_of_the_application_sends(self) -> None:
        async def several(scope: Any, receive: Any, send: Any) -> None:
            async def streaming() -> None:
                await send(START)
                while True:
                    await send({"type": "http.response.body", "body": b"more", "more_body": True})

            async with asyncio.TaskGroup() as group:
                group.create_task(streaming())
                group.create_task(asyncio.Event().wait())

        client = Client("HEAD")
        await asyncio.wait_for(client.ask(HeadFromGet(several)), 30)

        assert client.came == WHOLE

    async def test_nothing_follows_from_who_goes_on_all_the_same(self) -> None:
        async def stubborn(scope: Any, receive: Any, send: Any) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await send(START)
            await send({"type": "http.response.body", "body": b"abcdef"})

        client = Client("HEAD")
        await client.ask(HeadFromGet(stubborn))

        assert client.came == WHOLE

    async def test_what_fails_after_the_head_is_raised(self) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            try:
                await send(START)
            finally:
                raise ValueError("in the clean-up")

        client = Client("HEAD")
        with pytest.raises(ValueError, match="in the clean-up"):
            await client.ask(HeadFromGet(failing))

        assert client.came == WHOLE

    async def test_an_application_that_cancels_itself_has_not_answered(self) -> None:
        async def cancelled(scope: Any, receive: Any, send: Any) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await Client("HEAD").ask(HeadFromGet(cancelled))

    async def test_who_is_cancelled_cancels_the_application_and_waits_for_it(self) -> None:
        told: list[str] = []
        began = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                told.append(scope["method"])
                raise ValueError("unheard")

        client = Client("HEAD")
        asking = asyncio.create_task(client.ask(HeadFromGet(slow)))
        await began.wait()
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (told, client.scope["method"]) == (["GET"], "HEAD")


async def test_after_an_error_it_is_a_head_again() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["method"])

    client = Client("HEAD")
    with pytest.raises(ValueError, match="GET"):
        await client.ask(HeadFromGet(broken))

    assert client.scope["method"] == "HEAD"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_methods_pass_as_they_are(method: str) -> None:
    client, things = Client(method), Things()

    await client.ask(HeadFromGet(things))

    assert things.asked == [method, method]
    assert [each.get("body") for each in client.came[1:]] == [b"abc", b"def"]


async def test_who_serves_head_itself_is_asked_for_it() -> None:
    client, things = Client("HEAD"), Things()

    await client.ask(HeadFromGet(things, unless=lambda scope: scope["path"] == "/things"))

    assert things.asked == ["HEAD", "HEAD"]


async def test_other_protocols_pass() -> None:
    client, asked = Client("HEAD", "websocket"), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["method"])

    await client.ask(HeadFromGet(app))

    assert asked == ["HEAD"]
