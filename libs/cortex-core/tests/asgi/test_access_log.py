"""One record a response, whatever the end."""

import asyncio
from typing import Any

import pytest

from cortex_core.asgi import AccessLog, ResponseDetails
from cortex_core.testing.exchange import exchange


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
    assert await record(answer) == ResponseDetails("GET", "/things/1", "/things/{id}", 201, 0.25, 5, True)


async def test_an_error_is_recorded_as_500() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    assert (await record(broken)).status == 500


async def test_a_client_that_left_is_recorded_as_499() -> None:
    async def left(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    assert (await record(left)).status == 499


async def test_a_client_that_hung_up_before_an_answer_is_recorded_as_499() -> None:
    async def noticed(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"

    assert (await record(noticed)).status == 499


async def test_an_application_that_forgets_to_answer_is_recorded_as_500() -> None:
    async def forgetful(scope: Any, receive: Any, send: Any) -> None:
        pass

    assert (await record(forgetful)).status == 500


async def test_an_answer_that_began_keeps_its_status_whatever_the_end() -> None:
    async def broken_off(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        raise asyncio.CancelledError

    assert (await record(broken_off)).status == 201


@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError])
async def test_a_body_that_broke_off_is_not_complete(error: type[BaseException]) -> None:
    async def broken_off(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise error

    details = await record(broken_off)

    assert (details.status, details.size, details.complete) == (200, 3, False)


async def test_a_body_that_was_sent_to_nobody_is_not_complete() -> None:
    async def unheard(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()  # the client has left
        await send({"type": "http.response.body", "body": b"abc"})

    assert not (await record(unheard)).complete


async def test_an_end_that_the_server_did_not_take_is_none() -> None:
    seen: list[ResponseDetails] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the client has left")

    with pytest.raises(OSError, match="left"):
        await AccessLog(answer, seen.append)({"type": "http", "method": "GET", "path": "/"}, send, send)  # type: ignore[arg-type]

    assert not seen[0].complete


async def test_a_client_that_leaves_after_the_end_has_had_it_all() -> None:
    async def lingering(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        await receive()

    assert (await record(lingering)).complete


async def test_a_file_that_the_server_sends_is_complete() -> None:
    async def file(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/a/file"})

    assert (await record(file)).complete


async def test_what_is_sent_beside_the_body_has_no_size() -> None:
    async def with_trailers(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        await send({"type": "http.response.trailers", "headers": [(b"x-a", b"b")]})

    assert (await record(with_trailers)).size == 5


async def test_an_answer_to_head_has_no_body_whatever_the_application_sends() -> None:
    seen: list[ResponseDetails] = []

    await exchange(AccessLog(answer, seen.append), "HEAD")

    assert (seen[0].method, seen[0].size) == ("HEAD", 0)


async def test_a_hook_that_fails_costs_nobody_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    def failing(details: ResponseDetails) -> None:
        raise OSError("the disk is full")

    answered = await exchange(AccessLog(answer, failing))

    assert (answered.status, answered.body) == (201, b"abcde")
    assert "the disk is full" in caplog.text


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
