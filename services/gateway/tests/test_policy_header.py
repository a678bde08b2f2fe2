"""`Cortex-Policy`: on every answer of a route, in both lanes and of sockets; ours alone, and true of a refusal."""

import re
from typing import Any

import aiohttp
import pytest

from .test_gateway_sockets import EchoService

PAIR = re.compile(r'([a-z]+)=("[^"]*"|[^,]*)')
JSON = (b"content-type", b"application/json")


def said(headers: Any) -> dict[str, str]:
    (line,) = headers.getall("Cortex-Policy")
    return {name: value.strip('"') for name, value in PAIR.findall(line)}


@pytest.mark.parametrize("held", [True, False], ids=["kept", "not kept"])
async def test_who_is_refused_by_a_limit_has_asked_no_cache(start_gateway: Any, recorder: Any, held: bool) -> None:
    order = recorder(200, b"{}", [JSON, (b"etag", b'"1"')])
    async with start_gateway({"rate_limit_per_minute": 1}, order=order) as client:
        await client.get("/api/orders/ord_1")
        async with client.get("/api/orders/ord_1" if held else "/api/orders/ord_2") as reply:
            assert reply.status == 429

    found = said(reply.headers)
    assert (found["cache"], found["rate"], found["route"]) == ("none", "default", "/api/orders/{orderId}")


@pytest.mark.parametrize("shown", [True, False])
async def test_a_services_own_is_nobodys_business(start_gateway: Any, recorder: Any, shown: bool) -> None:
    storage = recorder(200, b"{}", [JSON, (b"cortex-policy", b"upstream=theirs")])
    async with start_gateway({"policy_header": shown}, storage=storage) as client:
        for path in ("/api/storage/files", "/api/storage/files/a%20b"):
            async with client.get(path) as reply:
                lines = reply.headers.getall("Cortex-Policy", [])
                assert (len(lines), any("theirs" in line for line in lines)) == (shown, False)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/keys"), ("POST", "/api/keys/key_1/rotate"), ("DELETE", "/api/keys/key_1")]
)
async def test_the_gateways_own_paths_tell_theirs(start_gateway: Any, method: str, path: str) -> None:
    async with start_gateway() as client, client.request(method, path) as reply:
        found = said(reply.headers)

    assert reply.status == 403
    assert (found["route"], found["scope"]) == (re.sub(r"key_1", "{keyId}", path), "keys:admin")
    assert (found["upstream"], found["lane"], found["retry"]) == ("none", "asgi", "never")


@pytest.mark.parametrize(
    ("headers", "settings", "opened", "status"),
    [
        ({"Authorization": "Bearer x"}, {}, 0, 401),
        ({}, {"rate_limit_per_minute": 1}, 1, 429),
        ({}, {}, 0, 503),
    ],
)
async def test_a_refused_socket_is_told_like_any_request(
    start_gateway: Any, headers: dict[str, str], settings: dict[str, Any], opened: int, status: int
) -> None:
    services = {"notification": EchoService()} if opened else {}
    async with start_gateway(settings, **services) as client:
        for _ in range(opened):
            await (await client.ws_connect("/ws")).close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws", headers=headers)

    told: Any = refused.value.headers
    assert refused.value.status == status
    assert (said(told)["route"], said(told)["upstream"], said(told)["cache"]) == ("/ws", "notification", "none")
    assert told["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in told["Content-Security-Policy"]
    assert len(told.getall("Date")) == 1


async def test_an_opened_socket_is_told_too(start_gateway: Any) -> None:
    async with start_gateway(notification=EchoService()) as client, client.ws_connect("/ws") as socket:
        assert said(socket._response.headers)["scope"] == "notifications:read"
