"""A service that names its own address in an answer does not lead its client there: in both lanes."""

from typing import Any

import pytest

from cortex_gateway.adapters.pool.relocation import relocated
from cortex_gateway.ports import Head


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("http://order:3001/orders/1?a=b#c", "/api/orders/1?a=b#c"),
        ("https://ORDER:3001/orders/1", "/api/orders/1"),
        ("//order:3001/orders/1", "/api/orders/1"),
        ("http://order:3001", "/api/"),
        ("http://order:3001/api/orders/1", "/api/orders/1"),
        ("http://order:3001/apiary", "/api/apiary"),
        ("http://order:3001/ws", "/ws"),
        ("http://order:3001//evil.example/x", "/api//evil.example/x"),
        ("http://order:30010/orders/1", "http://order:30010/orders/1"),
        ("http://order:3001@evil.example/", "http://order:3001@evil.example/"),
        ("https://elsewhere.example/orders/1", "https://elsewhere.example/orders/1"),
        ("orders/1", "orders/1"),
        ("/orders/1?to=http://order:3001/x", "/orders/1?to=http://order:3001/x"),
    ],
)
def test_its_own_address_is_the_public_path(said: str, told: str) -> None:
    fields = "X-Location: http://order:3001/x\r\nLocation: {0}\r\nContent-Location:{0}\r\n"
    sent, expected = fields.format(said).encode(), fields.format(told).encode()

    head = relocated(Head(201, sent, sent.lower(), 0), "order:3001")

    assert head == Head(201, expected, expected.lower(), 0)


@pytest.mark.parametrize("path", ["/api/storage/files", "/api/storage/files/a%20b"])
async def test_a_client_is_led_to_what_it_can_reach(start_gateway: Any, path: str) -> None:
    async def storage(scope: Any, receive: Any, send: Any) -> None:
        host = next(value for name, value in scope["headers"] if name == b"host")
        headers = [(b"location", b"http://%b/storage/files/1" % host), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async with start_gateway(storage=storage) as client, client.get(path) as reply:
        assert (reply.status, reply.headers["Location"]) == (200, "/api/storage/files/1")
