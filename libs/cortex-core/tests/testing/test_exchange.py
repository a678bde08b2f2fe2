"""One question to an ASGI application, without a server."""

from typing import Any

import pytest

from cortex_core.testing.exchange import exchange


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, message = b"", await receive()
    while message["type"] == "http.request":
        body += message["body"]
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [*scope["headers"], (b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": body[:2], "more_body": True})
    await send({"type": "http.response.body", "body": body[2:]})


async def test_the_body_comes_in_its_parts_and_then_the_client_is_gone() -> None:
    answer = await exchange(echo, "POST", "/a", body=[b"abc", b"de"])

    assert (answer.status, answer.body, answer.scope["method"], answer.scope["path"]) == (200, b"abcde", "POST", "/a")


async def test_headers_are_asked_for_in_any_case_and_joined() -> None:
    answer = await exchange(echo, headers=[("X-A", "0"), ("X-B", b"\xe4")])

    assert (answer.header("x-a"), answer.header("X-B"), answer.header("x-c")) == ("0, 1", "ä", None)


async def test_the_scope_can_be_another() -> None:
    async def kind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000, "reason": scope["type"]})

    assert (await exchange(kind, type="websocket")).messages[0]["reason"] == "websocket"


async def test_what_the_application_raises_is_raised() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await exchange(broken)
