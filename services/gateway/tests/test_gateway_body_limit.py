"""How large a body may be: its route says."""

from io import BytesIO
from typing import Any

import pytest


class TestBodyLimit:
    async def test_a_declared_length_too_large_bothers_no_service(self, start_gateway: Any, recorder: Any) -> None:
        order, large = recorder(), BytesIO(bytes(3_000_000))
        async with start_gateway(order=order) as client, client.post("/api/orders", data=large) as reply:
            told = await reply.json()

        assert (reply.status, told["code"], told["limit"]) == (413, "request.too-large", 1 << 20)
        assert order.requests == []

    async def test_no_service_sees_a_body_that_grows_too_large(self, start_gateway: Any, recorder: Any) -> None:
        upstream = recorder()

        async def growing() -> Any:
            for _ in range(48):
                yield b"x" * (1 << 16)

        async with start_gateway(order=upstream) as client, client.post("/api/orders", data=growing()) as reply:
            told = await reply.json()

        assert (reply.status, told["code"], upstream.requests) == (413, "request.too-large", [])

    async def test_a_body_that_streams_and_grows_too_large_is_cut_off(self, start_gateway: Any) -> None:
        ended: list[str] = []

        async def compute(scope: Any, receive: Any, send: Any) -> None:
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
            ended.append(message["type"])

        async def growing() -> Any:
            for _ in range(34):
                yield b"x" * (1 << 20)

        async with (
            start_gateway(compute=compute) as client,
            client.post("/api/compute/images", data=growing()) as reply,
        ):
            told = await reply.json()

        assert (reply.status, told["code"]) == (413, "request.too-large")
        assert ended == ["http.disconnect"]  # broken off, not ended as if it were whole

    @pytest.mark.parametrize("path", ["/api/storage/files", "/api/storage/files/bafy"])
    async def test_a_limit_is_its_own_routes_and_no_other_methods(
        self, start_gateway: Any, recorder: Any, path: str
    ) -> None:
        large, storage = BytesIO(bytes(3_000_000)), recorder()
        async with start_gateway(storage=storage) as client, client.get(path, data=large) as reply:
            told = await reply.json()

        assert (reply.status, told["code"], told["limit"]) == (413, "request.too-large", 1 << 20)
        assert storage.requests == []

    @pytest.mark.parametrize(
        ("path", "service"), [("/api/storage/files", "storage"), ("/api/compute/images", "compute")]
    )
    async def test_a_route_for_large_bodies_takes_them(
        self, start_gateway: Any, recorder: Any, path: str, service: str
    ) -> None:
        upstream = recorder()
        body = b"x" * (2 << 20)
        async with start_gateway(**{service: upstream}) as client, client.post(path, data=BytesIO(body)) as reply:
            assert reply.status == 200

        assert upstream.requests[0]["body"] == body
        assert upstream.header("content-length") == [str(len(body))]
