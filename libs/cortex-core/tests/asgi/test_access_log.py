"""One record a response, whatever the end."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi import AccessLog, ResponseDetails


class Route:
    path = "/things/{id}"


async def record(app: Any) -> ResponseDetails:
    seen: list[ResponseDetails] = []
    ticks = iter([10.0, 10.25])

    async def send(message: Any) -> None: ...

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    log = AccessLog(app, seen.append, monotonic=lambda: next(ticks))
    try:
        await log({"type": "http", "method": "GET", "path": "/things/1", "headers": []}, receive, send)
    except ValueError:
        pass
    except asyncio.CancelledError:
        pass
    assert len(seen) == 1
    return seen[0]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    scope["route"] = Route()
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    await send({"type": "http.response.body", "body": b"de"})


async def test_the_record_has_template_status_size_and_seconds() -> None:
    assert await record(answer) == ResponseDetails("GET", "/things/1", "/things/{id}", 201, 0.25, 5)


async def test_an_error_is_recorded_as_500() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    assert (await record(broken)).status == 500


async def test_a_client_that_left_is_recorded_as_499() -> None:
    async def left(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    assert (await record(left)).status == 499


async def test_unknown_paths_share_one_route() -> None:
    async def unknown(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})

    assert (await record(unknown)).route == "unmatched"


async def test_a_handler_that_forwards_names_its_route() -> None:
    async def forwarding(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route()
        scope["cortex.route"] = "/api/orders/{orderId}"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert (await record(forwarding)).route == "/api/orders/{orderId}"


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_through(kind: str) -> None:
    reached = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True

    def never(details: ResponseDetails) -> None:
        raise AssertionError(details)

    async def nothing(*_: Any) -> Any: ...

    await AccessLog(app, never)({"type": kind}, nothing, nothing)
    assert reached
