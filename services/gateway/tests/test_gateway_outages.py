"""A service that is down, hangs or breaks: what its callers get, how soon, and that nobody else notices."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from cortex_core.testing import assert_bound, free_port
from cortex_gateway import routes, wiring
from cortex_gateway.routes import RouteTable, Service


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same routes with a time-out of 0.2 s."""
    short = [replace(r, timeout=0.2) for r in routes.ROUTES]
    monkeypatch.setattr(wiring, "_TABLE", RouteTable(short))


async def expect_unavailable(client: Any, path: str, service: str) -> float:
    began = time.monotonic()
    async with client.get(path) as reply:
        told = await reply.json()
    assert (reply.status, reply.content_type) == (503, "application/problem+json")
    if told["code"] != "http-cache.failed":  # what the cache tells whoever waited for two answers that failed
        assert (told["code"], told["service"]) == ("upstream.unavailable", service)
    assert int(reply.headers["Retry-After"]) >= 1
    assert "127.0.0.1" not in told["detail"]
    return time.monotonic() - began


@pytest.mark.bound
async def test_a_service_that_is_down_is_a_quick_503_and_the_others_are_untouched(
    start_gateway: Any, recorder: Any
) -> None:
    async with start_gateway(order=recorder()) as client:
        assert_bound(await expect_unavailable(client, "/api/analytics/metrics", "analytics"), 1.0)
        async with client.get("/api/orders") as reply:
            assert reply.status == 200


@pytest.mark.bound
async def test_a_service_that_cannot_be_reached_costs_a_second_at_most(
    start_gateway: Any, recorder: Any, black_hole: str
) -> None:
    async with start_gateway(order=recorder(), analytics=black_hole) as client:
        path = "/api/analytics/metrics"
        stuck = [asyncio.create_task(expect_unavailable(client, path, "analytics")) for _ in range(3)]
        async with client.get("/api/orders") as reply:
            assert reply.status == 200
        assert not any(task.done() for task in stuck)
        assert_bound(max(await asyncio.gather(*stuck)), 1.0)


@pytest.mark.bound
async def test_a_service_that_hangs_is_a_504_after_its_routes_time(start_gateway: Any, impatient: None) -> None:
    async def order(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()  # until whoever asked has gone

    async with start_gateway(order=order) as client:
        began = time.monotonic()
        async with client.get("/api/orders") as reply:
            told = await reply.json()
        took = time.monotonic() - began

    assert (reply.status, told["code"], told["service"]) == (504, "upstream.timeout", "order")
    assert took >= 0.2
    assert_bound(took, 0.5)


async def test_a_service_that_stops_reading_an_upload_is_a_504(start_gateway: Any, impatient: None) -> None:
    async def storage(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    async def body() -> Any:
        for _ in range(1000):
            yield b"x" * 65536

    async with start_gateway(storage=storage) as client, client.post("/api/storage/files", data=body()) as reply:
        assert (reply.status, (await reply.json())["code"]) == (504, "upstream.timeout")


async def test_a_client_that_is_slow_is_not_the_services_fault(
    start_gateway: Any, recorder: Any, impatient: None
) -> None:
    storage = recorder()

    async def slowly() -> Any:
        yield b"a"
        for _ in range(15):  # longer than the service would have
            await asyncio.sleep(0.02)
        yield b"b"

    async with start_gateway(storage=storage) as client, client.post("/api/storage/files", data=slowly()) as reply:
        assert reply.status == 200

    assert storage.requests[0]["body"] == b"ab"


async def test_a_service_that_stops_in_the_middle_of_its_answer_is_given_up(
    start_gateway: Any, impatient: None
) -> None:
    async def storage(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()
        await receive()

    async with start_gateway(storage=storage) as client, client.get("/api/storage/files/bafy") as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


@pytest.mark.bound
async def test_the_clients_own_deadline_is_kept(start_gateway: Any) -> None:
    async def order(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    async with start_gateway(order=order) as client:
        began = time.monotonic()
        async with client.get("/api/orders", headers={"X-Request-Deadline": "100"}) as reply:
            assert (reply.status, (await reply.json())["code"]) == (504, "upstream.timeout")

    assert_bound(time.monotonic() - began, 0.6)


async def test_a_service_that_hangs_up_without_an_answer_is_a_503(start_gateway: Any) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, start_gateway(order=address) as client:
        await expect_unavailable(client, "/api/orders", "order")


async def test_a_service_that_comes_back_is_found_again(start_gateway: Any, recorder: Any) -> None:
    port = free_port()
    async with start_gateway(order=f"http://127.0.0.1:{port}") as client:
        await expect_unavailable(client, "/api/orders", "order")

        async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(ok, "127.0.0.1", port), client.get("/api/orders") as reply:
            assert (reply.status, await reply.read()) == (200, b"{}")


def test_every_route_has_a_service_with_an_address() -> None:
    assert {route.service for route in (*routes.ROUTES, *routes.SOCKETS)} == set(Service)
